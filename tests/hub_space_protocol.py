"""What the stand-in for the hub says about Spaces and buckets: the protocol of huggingface_hub 1.33.

    with SpaceHub() as hub:
        hub.tokens["hf_secret"] = "you"
        hub.stages = ["BUILDING", "APP_STARTING", "RUNNING"]     # what a Space goes through after an upload
        ...
        hub.spaces["you/arena"].variables

Files of a Space are kept as those of other repositories are, with the kind ``space``.
"""

import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.hub_about import card_data, tags
from tests.hub_protocol import Handler, Request, _Refusal
from tests.hub_server import HubServer


@dataclass
class Space:
    """What the hub knows of one beside its files."""

    sdk: str
    variables: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    volumes: list[dict[str, Any]] = field(default_factory=list)
    stages: list[str] = field(default_factory=lambda: ["NO_APP_FILE"])
    """Coming ones; the first is told, and the last stays."""
    sha: str | None = None
    """The commit that is built."""
    logs: dict[str, list[str]] = field(default_factory=lambda: {"build": [], "run": []})
    restarts: int = 0
    before: list[tuple[str, str | None]] = field(default_factory=list)
    """Stage and commit of the build before, still told so many times."""


class SpaceHandler(Handler):
    """The routes of Spaces; what they have in common with other repositories is left to ``Handler``."""

    server: "SpaceHub"

    def handle_request(self) -> None:
        address = urlsplit(self.path)
        self.query = parse_qs(address.query)
        for method, pattern, answer in _ROUTES:
            match = re.fullmatch(pattern, address.path)
            if match and method == self.command and not self.server.broken:
                self.body = self._read_body()
                token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
                self.user = self.server.tokens.get(token)
                self.server.requests.append(Request(self.command, self.path, "", token, None))
                try:
                    if self.user is None:
                        raise _Refusal(401, "Invalid username or password.")
                    return answer(self, **{name: unquote(text) for name, text in match.groupdict().items()})
                except _Refusal as refusal:
                    return self.send(refusal.body, refusal.status, refusal.headers)
        super().handle_request()

    do_GET = do_POST = do_PUT = do_DELETE = handle_request

    def whoami(self) -> None:
        auth = {"type": "access_token", "accessToken": {"role": self.server.role, "displayName": "test"}}
        self.send({"type": "user", "name": self.user, "orgs": [], "auth": auth})

    def create(self) -> None:
        wanted = json.loads(self.body)
        owner = wanted.get("organization") or self.user
        name = f"{owner}/{wanted['name']}"
        if wanted.get("type") != "space":
            return super().create()
        url = f"{self.server.url}/spaces/{name}"
        if owner != self.user:
            raise _Refusal(403, f"You don't have the rights to create a space under the namespace {owner}")
        if name in self.server.spaces:
            return self.send({"name": name, "url": url, "error": "You already created this space repo"}, 409)
        if self.server.unpaid:
            raise _Refusal(402, "Docker Spaces need a PRO subscription.")
        self.server.add_space(name, wanted["sdk"], {".gitattributes": b""}, wanted.get("visibility") == "private")
        self.send({"name": name, "url": url})

    def space_info(self, id: str) -> None:
        space = self.space(id)
        repository = self.server.repositories["space", id]
        commit = repository.commits[-1]
        self.send(
            {
                "_id": "0", "id": id, "sha": commit.sha, "private": repository.private, "sdk": space.sdk,
                "tags": tags(repository), "cardData": card_data(commit.files),
                "host": f"https://{id.replace('/', '-')}.hf.space", "likes": 0,
                "siblings": [{"rfilename": path} for path in commit.files],
            }
        )  # fmt: skip

    def space_tree(self, id: str, revision: str) -> None:
        self.space(id)
        self.tree("space", id, revision, "")

    def space_settings(self, id: str) -> None:
        self.owned(id)
        self.server.repositories["space", id].private = json.loads(self.body)["visibility"] == "private"
        self.send({})

    def space_preupload(self, id: str, revision: str) -> None:
        self.owned(id)
        self.preupload("space", id, revision)

    def space_lfs_batch(self, id: str) -> None:
        self.owned(id)
        self.lfs_batch("space", id)

    def space_commit(self, id: str, revision: str) -> None:
        """A push: from then on the Space is built."""
        space = self.owned(id)
        space.before = [(space.stages[0], space.sha)] * self.server.lag
        self.commit("space", id, revision)
        space.sha, space.stages = self.server.repositories["space", id].commits[-1].sha, list(self.server.stages)

    def variables(self, id: str) -> None:
        self.named_values(self.owned(id).variables)

    def secrets(self, id: str) -> None:
        """Values of secrets are never given back."""
        self.named_values(self.owned(id).secrets, secret=True)

    def named_values(self, values: dict[str, str], secret: bool = False) -> None:
        if self.command == "POST":
            values.update([(json.loads(self.body)["key"], json.loads(self.body)["value"])])
        self.send({name: {"key": name, **({} if secret else {"value": value})} for name, value in values.items()})

    def volumes(self, id: str) -> None:
        space, wanted = self.owned(id), json.loads(self.body)["volumes"]
        if missing := [v["source"] for v in wanted if v["type"] == "bucket" and v["source"] not in self.server.buckets]:
            raise _Refusal(404, f"Bucket {missing[0]} not found")
        space.volumes = wanted
        self.send({})

    def runtime(self, id: str) -> None:
        space = self.space(id)
        stage, sha = space.before.pop() if space.before else (space.stages[0], space.sha)
        if sha == space.sha and len(space.stages) > 1:
            space.stages.pop(0)
        hardware = {"current": "cpu-basic", "requested": "cpu-basic"}
        self.send({"stage": stage, "hardware": hardware, "sha": sha, "volumes": space.volumes})

    def restart(self, id: str) -> None:
        space = self.owned(id)
        space.restarts, space.stages = space.restarts + 1, list(self.server.stages)
        self.runtime(id)

    def logs(self, id: str, kind: str) -> None:
        """Server-sent events: all lines there are, then the end."""
        events = [{"data": f"{line}\n", "timestamp": "2026-01-01T00:00:00Z"} for line in self.owned(id).logs[kind]]
        body = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data:\n\n"
        self.send(body, headers={"Content-Type": "text/event-stream"})

    def create_bucket(self, owner: str, name: str) -> None:
        if owner != self.user:
            raise _Refusal(403, "You may not create a bucket there")
        there = f"{owner}/{name}" in self.server.buckets
        self.server.buckets[f"{owner}/{name}"] = bool(json.loads(self.body).get("private"))
        self.send({"url": f"{self.server.url}/buckets/{owner}/{name}"}, 409 if there else 200)

    def space(self, id: str) -> Space:
        if id not in self.server.spaces:
            raise _Refusal(404, "Repository not found", "RepoNotFound")
        return self.server.spaces[id]

    def owned(self, id: str) -> Space:
        space = self.space(id)
        if self.user != id.partition("/")[0]:
            raise _Refusal(403, "You have read access but not the required permissions for this operation")
        return space


_API = r"/api/spaces/(?P<id>[^/]+/[^/]+)"
_ROUTES: list[tuple[str, str, Any]] = [
    ("GET", r"/api/whoami-v2", SpaceHandler.whoami),
    ("POST", r"/api/repos/create", SpaceHandler.create),
    ("POST", r"/api/buckets/(?P<owner>[^/]+)/(?P<name>[^/]+)", SpaceHandler.create_bucket),
    ("GET", _API, SpaceHandler.space_info),
    ("GET", _API + r"/revision/main", SpaceHandler.space_info),
    ("GET", _API + r"/tree/(?P<revision>[^/]+)", SpaceHandler.space_tree),
    ("PUT", _API + r"/settings", SpaceHandler.space_settings),
    ("POST", _API + r"/preupload/(?P<revision>[^/]+)", SpaceHandler.space_preupload),
    ("POST", r"/spaces/(?P<id>[^/]+/[^/]+)\.git/info/lfs/objects/batch", SpaceHandler.space_lfs_batch),
    ("POST", _API + r"/commit/(?P<revision>[^/]+)", SpaceHandler.space_commit),
    ("GET", _API + r"/variables", SpaceHandler.variables),
    ("POST", _API + r"/variables", SpaceHandler.variables),
    ("GET", _API + r"/secrets", SpaceHandler.secrets),
    ("POST", _API + r"/secrets", SpaceHandler.secrets),
    ("PUT", _API + r"/volumes", SpaceHandler.volumes),
    ("GET", _API + r"/runtime", SpaceHandler.runtime),
    ("POST", _API + r"/restart", SpaceHandler.restart),
    ("GET", _API + r"/logs/(?P<kind>build|run)", SpaceHandler.logs),
]


class SpaceHub(HubServer):
    """The hub's stand-in with Spaces and buckets."""

    def __init__(self) -> None:
        super().__init__()
        self.RequestHandlerClass = SpaceHandler
        self.spaces: dict[str, Space] = {}
        self.buckets: dict[str, bool] = {}
        """Whether each is private."""
        self.stages = ["BUILDING", "APP_STARTING", "RUNNING"]
        self.lag = 0
        """How often the hub tells of the build before, after an upload."""
        self.role = "write"
        self.unpaid = False
        """The plan allows no new Docker Space."""

    def add_space(self, id: str, sdk: str, files: dict[str, bytes], private: bool = False) -> Space:
        self.add(id, files, "space", private)
        space = self.spaces[id] = Space(sdk)
        return space
