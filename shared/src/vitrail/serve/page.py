"""A page that a service shows, filled by its package: nothing of it comes from elsewhere, and it
may talk to this service alone."""

from dataclasses import dataclass
from importlib.resources import files
from string import Template

from fastapi.responses import HTMLResponse

from vitrail.report.markup import escape, policy_source

_STYLE = files("vitrail.report").joinpath("page.css").read_text("utf-8")
_TEMPLATE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>$title</title>
<style>$style</style>
</head>
<body>
<main>
<h1>$title</h1>
$body
</main>
$script
</body>
</html>
""")


@dataclass(frozen=True)
class Shell:
    """``title`` is text; ``body`` is the package's own HTML, ``style`` follows the reports' style
    sheet, and ``script`` may be one script. Nothing of a user's may stand in the last three."""

    title: str
    body: str
    style: str = ""
    script: str = ""

    def html(self) -> str:
        script = f"<script>{self.script}</script>" if self.script else ""
        return _TEMPLATE.substitute(
            title=escape(self.title), style=self._whole_style, body=self.body, script=script
        )

    @property
    def policy(self) -> str:
        """The content security policy: this style and this script by their hashes, images that are
        made here, requests to this service."""
        script = policy_source(self.script) if self.script else "'none'"
        style = policy_source(self._whole_style)
        return (
            f"default-src 'none'; style-src {style}; script-src {script}; "
            "img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self'; "
            "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        )

    def response(self) -> HTMLResponse:
        headers = {
            "Content-Security-Policy": self.policy,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
        }
        return HTMLResponse(self.html(), headers=headers)

    @property
    def _whole_style(self) -> str:
        return _STYLE + self.style
