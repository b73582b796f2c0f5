"""The host's side of what an extension may touch: files, servers, artifacts and models, each by a checked request.

`broker.py` has the table of all that can be asked for.
"""

from symphony_isolation.broker.artifact_requests import PART_LIMIT, ArtifactRequests
from symphony_isolation.broker.broker import METHODS, Broker, Method
from symphony_isolation.broker.files import Check

__all__ = ["METHODS", "PART_LIMIT", "ArtifactRequests", "Broker", "Check", "Method"]
