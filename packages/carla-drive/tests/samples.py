"""OpenDRIVE texts that tests vary."""

HEADER = '<?xml version="1.0"?>\n<OpenDRIVE><header revMajor="1" revMinor="4"/>{}</OpenDRIVE>'


def road(
    id: str = "1",
    length: float = 100.0,
    geometry: str = "<line/>",
    lanes: str = "",
    link: str = "",
    extra: str = "",
    junction: str = "-1",
    x: float = 0.0,
    y: float = 0.0,
    heading: float = 0.0,
    attributes: str = "",
) -> str:
    """One road with one piece of reference line; by default a lane of 3.5 m each way."""
    lanes = lanes or both_ways()
    return (
        f'<road id="{id}" length="{length}" junction="{junction}" {attributes}><link>{link}</link>'
        "<planView>"
        f'<geometry s="0" x="{x}" y="{y}" hdg="{heading}" length="{length}">{geometry}</geometry>'
        f"</planView><lanes>{lanes}</lanes>{extra}</road>"
    )


def lane(id: int, kind: str = "driving", width: float = 3.5, link: str = "", more: str = "") -> str:
    shape = f'<width sOffset="0" a="{width}" b="0" c="0" d="0"/>' if id else ""
    return f'<lane id="{id}" type="{kind}" level="false"><link>{link}</link>{shape}{more}</lane>'


def both_ways() -> str:
    return (
        f'<laneSection s="0"><left>{lane(1)}</left><center>{lane(0, "none")}</center>'
        f"<right>{lane(-1)}</right></laneSection>"
    )


def file(*parts: str) -> str:
    return HEADER.format("".join(parts))
