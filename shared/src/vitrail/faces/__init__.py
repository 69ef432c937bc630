"""Find, align and follow faces: the one model that the core brings, because several systems need
it."""

from vitrail.system import System

system = System(
    name="faces",
    title="Face detector",
    summary="Finds faces and five landmarks; part of the core",
    package="vitrail.faces",
    distribution="vitrail",
)
