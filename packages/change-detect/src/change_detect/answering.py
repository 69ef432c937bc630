"""How the command answers for a series: a row for each pair, which run side by side."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from change_detect.scene.series import Series, chained
from vitrail.answers import Answers, fingerprinted
from vitrail.job import Failure
from vitrail.runner import run
from vitrail.sources import Source


class SeriesAnswers(Answers):
    """Pairs that follow each other run as one source of the job."""

    def _run(self, sources: Sequence[Source], show: Callable) -> Iterator[tuple[Source, Any]]:
        if self.options.ray:
            yield from super()._run(sources, show)
            return
        size = self.options.batch_size
        groups = _fingerprinted(chained(sources))
        for source, outcome in run(self.job, groups, batch_size=size, on_progress=show):
            if not isinstance(source, Series):
                yield source, outcome
            elif isinstance(outcome, Failure):
                yield from ((pair, outcome) for pair in source.pairs)
            else:
                yield from zip(source.pairs, outcome, strict=True)


def _fingerprinted(sources: Sequence[Source]) -> Iterator[Source]:
    for source in sources:
        pairs = source.pairs if isinstance(source, Series) else (source,)
        for _ in fingerprinted(pairs):
            pass
        yield source
