"""The jars of the embedded broker: the pinned list beside this file, fetched once, checked every time."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ops.shell.output import Tell, tell_on_stderr
from ops.shell.problem import Problem, explain_os_errors

KAFKA_VERSION = "4.3.1"
PINNED = Path(__file__).parent / f"kafka-{KAFKA_VERSION}-jars.txt"

ELSEWHERE = "name another place for downloads: XDG_CACHE_HOME=/other/place pawl up"

Fetch = Callable[["Jar", Path], Path]


@dataclass(slots=True, frozen=True)
class Jar:
    """One Maven artifact and the bytes it must have."""

    group: str
    artifact: str
    version: str
    sha256: str
    size: int

    @property
    def coordinate(self) -> str:
        return f"{self.group}:{self.artifact}:{self.version}"

    @property
    def filename(self) -> str:
        """Unique in the list: the group is part of it, because two groups may use one artifact name."""
        return f"{self.group}.{self.artifact}-{self.version}.jar"


def cache_directory() -> Path:
    """Where downloads of this user are kept: $XDG_CACHE_HOME/pawl or ~/.cache/pawl."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "pawl"


def pinned_jars(listing: Path = PINNED) -> list[Jar]:
    """Read the list: `group:artifact:version  sha256  bytes` a line, `#` for comments."""
    lines = (line.split() for line in listing.read_text().splitlines() if line and not line.startswith("#"))
    return [_jar(*fields) for fields in lines]


def _jar(coordinate: str, sha256: str, size: str) -> Jar:
    group, artifact, version = coordinate.split(":")
    return Jar(group, artifact, version, sha256, int(size))


def broker_jars(
    directory: Path | None = None,
    jars: Iterable[Jar] | None = None,
    fetch: Fetch | None = None,
    tell: Tell = tell_on_stderr,
) -> list[Path]:
    """The checked jars. Downloads those that are missing or damaged.

    It calls `tell` as the download goes on. Raises Problem, which names the jar that it cannot get.
    """
    directory = directory or cache_directory() / f"kafka-{KAFKA_VERSION}"
    wanted = list(jars) if jars is not None else pinned_jars()
    with explain_os_errors("keeping the broker's jars", directory, ELSEWHERE):
        directory.mkdir(parents=True, exist_ok=True)
        missing = [jar for jar in wanted if not is_intact(directory / jar.filename, jar)]
        if missing:
            _download(missing, directory, fetch or fetch_with_jgo, tell)
    return [directory / jar.filename for jar in wanted]


def is_intact(path: Path, jar: Jar) -> bool:
    """Whether the file has exactly the pinned bytes."""
    try:
        return path.stat().st_size == jar.size and _sha256(path) == jar.sha256
    except FileNotFoundError:
        return False


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(missing: list[Jar], directory: Path, fetch: Fetch, tell: Tell) -> None:
    megabytes = sum(jar.size for jar in missing) / 1e6
    tell(f"Fetching {len(missing)} jars of Apache Kafka {KAFKA_VERSION} ({megabytes:.0f} MB, once) ...")
    with (
        tempfile.TemporaryDirectory(prefix=".fetch-", dir=directory) as scratch,
        ThreadPoolExecutor(8) as pool,
    ):
        fetching = {pool.submit(_fetch_checked, jar, Path(scratch), fetch): jar for jar in missing}
        try:
            for count, done in enumerate(as_completed(fetching), start=1):
                _keep(done, directory / fetching[done].filename)
                if count % 10 == 0:
                    tell(f"  {count} of {len(missing)}")
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _keep(done: Future[Path], target: Path) -> None:
    """Move a checked file into place in one step, so that two runs at once do each other no harm."""
    done.result().replace(target)


def _fetch_checked(jar: Jar, scratch: Path, fetch: Fetch) -> Path:
    """Fetch into the scratch directory, twice at most; bytes with another sum are thrown away."""
    failure = "nothing was tried"
    for attempt in (1, 2):
        place = scratch / f"{jar.filename}.{attempt}"
        try:
            path = fetch(jar, place)
        except Exception as error:
            failure = f"{type(error).__name__}: {error}".splitlines()[0][:300]
            continue
        if is_intact(path, jar):
            return path
        failure = f"{path.stat().st_size} bytes with another checksum arrived instead of {jar.size}"
        with suppress(OSError):
            shutil.rmtree(place)
    raise Problem(
        f"The download of {jar.coordinate} is broken: {failure}",
        "Check the network (a proxy that rewrites downloads is the usual reason) and run the command again; "
        "the jars that arrived are kept.",
    )


def fetch_with_jgo(jar: Jar, place: Path) -> Path:
    """Fetch one artifact by its exact coordinate; nothing is resolved, so nothing can be resolved wrongly."""
    from jgo.maven import MavenContext  # a second of imports that only a download needs

    context = MavenContext(repo_cache=place, timeout=60)
    return context.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve()
