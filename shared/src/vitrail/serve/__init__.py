"""A job as an HTTP service: who may ask for how much, and requests that share the networks.

Needs the extra ``serve``. ``make_app`` is the door; a package adds its own paths to what it gives.
"""

from vitrail.serve.app import make_app, serve
from vitrail.serve.desk import Busy, Desk
from vitrail.serve.guard import Limits, needs_role
from vitrail.serve.job import job_app
from vitrail.serve.page import Shell
from vitrail.serve.uploads import received

__all__ = [
    "Busy",
    "Desk",
    "Limits",
    "Shell",
    "job_app",
    "make_app",
    "needs_role",
    "received",
    "serve",
]
