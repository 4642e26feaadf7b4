"""What the stand-in for the hub says: the protocol of huggingface_hub 1.33, transformers 5.17 and datasets 4.8.

Search with pages, repository info, trees, downloads with redirects, ETags and ranges, private and gated repositories,
creation, and commits with large files over LFS. ``tests.hub_server`` has the repositories, ``tests.hub_about`` knows
what is said of one.
"""

import base64
import hashlib
import json
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

import yaml

from tests.hub_about import about, entry, front_matter, git_oid, is_large, tags

if TYPE_CHECKING:
    from tests.hub_server import Commit, HubServer, Repository

PAGE = 100
"""Results of a search that come at once, at most."""
PACE_S = 0.05


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    host: str
    token: str | None
    range: str | None


class _Refusal(Exception):
    def __init__(self, status: int, message: str, code: str | None = None, headers: Mapping[str, str] | None = None):
        self.status = status
        self.body = {"error": message}
        self.headers = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {}), **(headers or {})}


class Handler(BaseHTTPRequestHandler):
    """One request: find its route, check who asks, answer."""

    server: "HubServer"
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        with suppress(OSError):
            super().finish()

    def handle_request(self) -> None:
        self.body, self.user = self._read_body(), None
        address = urlsplit(self.path)
        self.query = parse_qs(address.query)
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
        host = (self.headers.get("Host") or "").partition(":")[0]
        self.server.requests.append(Request(self.command, self.path, host, token, self.headers.get("Range")))
        try:
            if self.server.portal is not None:
                return self.send(self.server.portal, headers={"Content-Type": "text/html"})
            if self.server.broken:
                wait = self.server.retry_after_s
                headers = {"Retry-After": str(wait)} if wait is not None else None
                raise _Refusal(self.server.broken, "Service unavailable", headers=headers)
            if token is not None and token not in self.server.tokens:
                raise _Refusal(401, "Invalid credentials in Authorization header")
            self.user = self.server.tokens.get(token) if token else None
            for method, pattern, answer in _ROUTES:
                match = re.fullmatch(pattern, address.path)
                if match and method == self.command.replace("HEAD", "GET"):
                    return answer(self, **{name: unquote(text or "") for name, text in match.groupdict().items()})
            raise _Refusal(*((404, "Repository not found", "RepoNotFound") if self.user else (404, "Not found")))
        except _Refusal as refusal:
            self.send(refusal.body, refusal.status, refusal.headers)

    do_HEAD = do_GET = do_POST = do_PUT = handle_request  # the names that http.server looks for

    # Reading

    def whoami(self) -> None:
        if self.user is None:
            raise _Refusal(401, "Invalid username or password.")
        self.send({"type": "user", "name": self.user, "fullname": self.user, "orgs": [], "auth": {"type": "token"}})

    def search(self, kind: str) -> None:
        """A page of the repositories that may be seen, and in a header where the next one is."""
        words = " ".join(self.query.get("search", [])).casefold().split()
        wanted = set(self.query.get("filter", []))
        found = [
            repository
            for (its_kind, id), repository in self.server.repositories.items()
            if its_kind == kind and all(word in id.casefold() for word in words) and wanted <= set(tags(repository))
            if not repository.disabled and (not repository.private or self.user in self._trusted(repository))
        ]
        by = {"downloads": lambda one: one.downloads, "likes": lambda one: one.likes}
        order = by.get(self.query.get("sort", [""])[0])
        found.sort(key=order or (lambda one: 0), reverse=True)
        start = int(self.query.get("cursor", ["0"])[0])
        end = start + min(int(self.query.get("limit", [PAGE])[0]), PAGE)
        rest = {"cursor": [end], **{name: values for name, values in self.query.items() if name != "cursor"}}
        following = f"{self.server.url}/api/{kind}s?{urlencode(rest, doseq=True)}"
        link = {"Link": f'<{following}>; rel="next"'} if end < len(found) else None
        self.send([about(repository, None, self.query) for repository in found[start:end]], headers=link)

    def info(self, kind: str, id: str, revision: str = "main") -> None:
        repository = self.repository(kind, id)
        self.send(about(repository, self.commit_of(repository, revision), self.query))

    def auth_check(self, kind: str, id: str) -> None:
        self.repository(kind, id, files=True)
        self.send({})

    def tree(self, kind: str, id: str, revision: str, folder: str) -> None:
        commit = self.commit_of(self.repository(kind, id), revision)
        prefix = f"{folder}/" if folder else ""
        recursive = self.query.get("recursive", ["false"])[0].casefold() in ("true", "1")
        entries: dict[str, dict[str, Any]] = {}
        for path in sorted(commit.files):
            if path.startswith(prefix):
                steps = path.removeprefix(prefix).split("/")
                for depth in range(1, len(steps) if recursive else min(len(steps), 2)):
                    name = prefix + "/".join(steps[:depth])
                    entries[name] = {"type": "directory", "oid": git_oid(name.encode()), "size": 0, "path": name}
                if recursive or len(steps) == 1:
                    entries[path] = entry(path, commit.files[path])
        if folder and not entries:
            raise _Refusal(404, f"{folder} does not exist on {revision}", "EntryNotFound")
        self.send(list(entries.values()))

    def paths_info(self, kind: str, id: str, revision: str) -> None:
        files = self.commit_of(self.repository(kind, id), revision).files
        found: list[dict[str, Any]] = []
        for path in parse_qs(self.body.decode()).get("paths", []):
            if path in files:
                found.append(entry(path, files[path]))
            elif any(name.startswith(f"{path}/") for name in files):
                found.append({"type": "directory", "oid": git_oid(path.encode()), "size": 0, "path": path})
        self.send(found)

    def resolve(self, kind: str, id: str, revision: str, path: str) -> None:
        repository = self.repository(kind or "model", id, files=True)
        commit = self.commit_of(repository, revision)
        headers = {"X-Repo-Commit": commit.sha, "Accept-Ranges": "bytes"}
        if path not in commit.files:
            raise _Refusal(404, "Entry not found", "EntryNotFound", headers)
        content = commit.files[path]
        if not is_large(path, content):
            return self.send_file(content, repository, {**headers, "ETag": f'"{git_oid(content)}"'})
        sha256 = hashlib.sha256(content).hexdigest()
        headers |= {"X-Linked-Size": str(len(content)), "X-Linked-ETag": f'"{sha256}"'}
        headers["Location"] = f"{self.server.storage_url}/{repository.kind}/{quote(id)}/{sha256}/{quote(path)}"
        self.server.stored[sha256] = content
        self.send(f"Found. Redirecting to {headers['Location']}", 302, headers)

    def storage(self, kind: str, id: str, sha256: str, path: str) -> None:
        repository = self.server.repositories.get((kind, id))
        if repository is None:
            raise _Refusal(404, "Not found")
        content = repository.served.get(path, self.server.stored[sha256])
        self.send_file(content, repository, {"ETag": f'"{sha256}"', "Accept-Ranges": "bytes"})

    # Writing

    def create(self) -> None:
        wanted = json.loads(self.body)
        owner, kind = wanted.get("organization") or self.user, wanted.get("type") or "model"
        if self.user is None or owner != self.user:
            status = 401 if self.user is None else 403
            raise _Refusal(status, f'You don\'t have the rights to create a {kind} under the namespace "{owner}"')
        name = f"{owner}/{wanted['name']}"
        answer = {"name": name, "url": f"{self.server.url}/{'datasets/' if kind == 'dataset' else ''}{name}"}
        private = wanted.get("visibility") == "private" or wanted.get("private") is True
        with self.server.creation:
            exists = (kind, name) in self.server.repositories
            if not exists:
                self.server.add(name, {".gitattributes": b"*.safetensors filter=lfs\n"}, kind, private)
        if exists:
            return self.send({**answer, "error": f"You already created this {kind} repo"}, 409)
        self.send(answer)

    def validate_yaml(self) -> None:
        try:
            valid = isinstance(front_matter(json.loads(self.body)["content"]), dict)
        except yaml.YAMLError:
            valid = False
        errors = [] if valid else [{"message": "The metadata is not a mapping in YAML"}]
        self.send({"errors": errors, "warnings": []}, 400 if errors else 200)

    def preupload(self, kind: str, id: str, revision: str) -> None:
        files = self.writable(kind, id).files
        answers = []
        for file in json.loads(self.body)["files"]:
            path, sample = file["path"], base64.b64decode(file["sample"])
            there = entry(path, files[path]) if path in files else {}
            answers.append(
                {
                    "path": path,
                    "uploadMode": "lfs" if is_large(path, sample) else "regular",
                    "shouldIgnore": False,
                    **({"oid": there.get("lfs", there)["oid"]} if there else {}),
                }
            )
        self.send({"files": answers})

    def lfs_batch(self, kind: str, id: str) -> None:
        self.writable(kind or "model", id)
        objects = json.loads(self.body)["objects"]
        for wanted in objects:
            if wanted["oid"] not in self.server.stored:
                verify = f"{self.server.url}/storage/verify/{wanted['oid']}"
                upload = f"{self.server.storage_url}/upload/{wanted['oid']}"
                wanted["actions"] = {"upload": {"href": upload}, "verify": {"href": verify}}
        self.send({"transfer": "basic", "objects": objects})

    def lfs_upload(self, sha256: str) -> None:
        if hashlib.sha256(self.body).hexdigest() != sha256:
            raise _Refusal(400, "The content does not match its SHA-256")
        self.server.stored[sha256] = self.body
        self.send({})

    def lfs_verify(self, sha256: str) -> None:
        if len(self.server.stored.get(sha256, b"")) != json.loads(self.body)["size"]:
            raise _Refusal(400, "The object is not there, or has another size")
        self.send({})

    def commit(self, kind: str, id: str, revision: str) -> None:
        repository = self.writable(kind, id)
        title, changes = "", dict[str, bytes | None]()
        for line in map(json.loads, self.body.splitlines()):
            value = line["value"]
            match line["key"]:
                case "header":
                    title = value["summary"]
                case "file":
                    changes[value["path"]] = base64.b64decode(value["content"])
                case "lfsFile" if value["oid"] in self.server.stored:
                    changes[value["path"]] = self.server.stored[value["oid"]]
                case "deletedFile":
                    changes[value["path"]] = None
                case other:
                    raise _Refusal(400, f"Cannot commit {other} {value.get('path')}")
        commit = repository.commit(changes, title, self.user)
        url = f"{self.server.url}/{id}/commit/{commit.sha}"
        self.send({"success": True, "commitOid": commit.sha, "commitUrl": url, "hookOutput": ""})

    # Who may do what

    def repository(self, kind: str, id: str, files: bool = False) -> "Repository":
        """A repository that may be seen, and with ``files`` be downloaded, by who asks."""
        repository = self.server.repositories.get((kind, id))
        known = self.user is not None
        trusted = repository is not None and self.user in self._trusted(repository)
        if repository is None or (repository.private and not trusted):
            raise _Refusal(404 if known else 401, "Repository not found", "RepoNotFound")
        if repository.disabled:
            raise _Refusal(403, "Access to this resource is disabled.")
        if files and repository.gated and not trusted:
            message = f"Access to {kind} {id} is restricted and you are not in the authorized list."
            raise _Refusal(403 if known else 401, message, "GatedRepo")
        return repository

    def _trusted(self, repository: "Repository") -> set[str]:
        return {*repository.readers, repository.id.partition("/")[0]}

    def writable(self, kind: str, id: str) -> "Repository":
        repository = self.repository(kind, id)
        if self.user != id.partition("/")[0]:
            raise _Refusal(403, "You have read access but not the required permissions for this operation")
        return repository

    def commit_of(self, repository: "Repository", revision: str) -> "Commit":
        commit = repository.at(revision)
        if commit is None:
            raise _Refusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return commit

    # Bytes

    def send(self, body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self._start(status, {"Content-Type": "application/json", **(headers or {})}, len(content))
        if self.command != "HEAD":
            self.wfile.write(content)

    def send_file(self, content: bytes, repository: "Repository", headers: Mapping[str, str]) -> None:
        start, end, status, headers = 0, len(content), 200, dict(headers)
        if wanted := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or ""):
            start = int(wanted[1])
            end = min(int(wanted[2]) + 1, end) if wanted[2] else end
            status, headers["Content-Range"] = 206, f"bytes {start}-{end - 1}/{len(content)}"
            if start >= end:
                raise _Refusal(416, "Range not satisfiable", headers={"Content-Range": f"bytes */{len(content)}"})
        self._start(status, {"Content-Type": "application/octet-stream", **headers}, end - start)
        if self.command == "HEAD":
            return
        if (cut := repository.cut_after_bytes) is not None and cut < end - start:
            repository.cut_after_bytes, end, self.close_connection = None, start + cut, True
        step = int((repository.pace_bytes_s or 0) * PACE_S) or end
        with suppress(ConnectionError):  # who downloads may stop
            for position in range(start, end, max(1, step)):
                self.wfile.write(content[position : min(position + step, end)])
                if repository.pace_bytes_s:
                    time.sleep(PACE_S)

    def _start(self, status: int, headers: Mapping[str, str], length: int) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(length)}.items():
            self.send_header(name, value)
        self.end_headers()

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def log_message(self, format: str, *args: Any) -> None:
        """Not on the terminal: ``requests`` has them."""


_API = r"/api/(?P<kind>model|dataset)s/(?P<id>[^/]+/[^/]+)"
_ROUTES: list[tuple[str, str, Any]] = [
    ("GET", r"/api/whoami-v2", Handler.whoami),
    ("GET", r"/api/(?P<kind>model|dataset)s", Handler.search),
    ("GET", _API, Handler.info),
    ("GET", _API + r"/revision/(?P<revision>[^/]+)", Handler.info),
    ("GET", _API + r"/auth-check", Handler.auth_check),
    ("GET", _API + r"/tree/(?P<revision>[^/]+)(?:/(?P<folder>.+))?", Handler.tree),
    ("POST", _API + r"/paths-info/(?P<revision>[^/]+)", Handler.paths_info),
    ("GET", r"/storage/(?P<kind>\w+)/(?P<id>[^/]+/[^/]+)/(?P<sha256>\w{64})/(?P<path>.+)", Handler.storage),
    ("GET", r"/(?:(?P<kind>dataset)s/)?(?P<id>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)", Handler.resolve),
    ("POST", r"/api/repos/create", Handler.create),
    ("POST", r"/api/validate-yaml", Handler.validate_yaml),
    ("POST", _API + r"/preupload/(?P<revision>[^/]+)", Handler.preupload),
    ("POST", r"/(?:(?P<kind>dataset)s/)?(?P<id>[^/]+/[^/]+)\.git/info/lfs/objects/batch", Handler.lfs_batch),
    ("PUT", r"/storage/upload/(?P<sha256>\w{64})", Handler.lfs_upload),
    ("POST", r"/storage/verify/(?P<sha256>\w{64})", Handler.lfs_verify),
    ("POST", _API + r"/commit/(?P<revision>[^/]+)", Handler.commit),
]
