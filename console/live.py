"""Pages that say by themselves that there is newer, by server-sent events: one reading for all who look.

A page names what it shows, and the mark of that when it was read:

    watched = await reader.watched("refunds")        # in the screen, before it reads
    {{ read(read_at, here, t, watched) }}            {# in the template, in place of "Read at ..." #}

What can be watched: `needs` (the list of what needs somebody), `refused` (dead letters and what waits), a
service (`orders`, `serials`, `refunds`, `invoices`: any event, and any change that a person made), and
`key:ID` (the same under the key of one order or partner). An empty `watched` is a page that says nothing.

A page hears one word when that changes: `newer`, after which its stream is over; `old` while the databases do
not answer, and `same` when they do again; `ended` when its session is. So a page hears little, however much
happens. While nobody looks nothing is read. A reading rests nine times as long as it took.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final, Literal

import asyncpg
import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from console.reading import KEY, LISTS, Reader, Unreadable
from console.routes import Route, get
from console.sessions import Sessions
from console.visits import Visit, cookie_of
from shared.clock import monotonic
from shared.events.catalogue import SERVICES

Says = Literal["same", "newer", "old", "ended"]
SECONDS: Final = 5.0
MOST: Final = 200
MOST_OF_SESSION: Final = 4
"""A browser has six connections to one address for all its tabs; a page that is loaded needs some."""
HEARTBEAT_SECONDS: Final = 15.0
LONGEST_SECONDS: Final = 600.0
"""Then a stream ends, and the browser comes again: who asks is looked at anew."""
REST: Final = 9.0
COME_AGAIN: Final = "retry: 5000\n\n"
HEARTBEAT: Final = ":\n\n"
LONGEST_NAME: Final = 300

log = structlog.get_logger("pawl.console")


class Seat:
    """One page that is open: what it shows, the mark it has, and what it was told last."""

    def __init__(self, of: str, mark: str, token: str) -> None:
        self.of, self.mark, self.token = of, mark, token
        self.is_over = False
        self._has_left = False
        self._says: Says = "same"
        self._is_new = asyncio.Event()

    def tell(self, says: Says) -> None:
        """Says it, unless it is what was said last."""
        if says != self._says and not self.is_over:
            self._says = says
            self.is_over = says in ("newer", "ended")
            self._is_new.set()

    def leave(self) -> None:
        """Ends without a word."""
        self.is_over = self._has_left = True
        self._is_new.set()

    async def next(self, seconds: float) -> Says | None:
        """What is said next; None where nothing is for so long, or it is over."""
        try:
            async with asyncio.timeout(seconds):
                await self._is_new.wait()
        except TimeoutError:
            return None
        self._is_new.clear()
        return None if self._has_left else self._says


class Live:
    """Everybody who looks. `most` pages hear of newer in all, `most_of_session` of one session."""

    def __init__(
        self,
        reader: Reader,
        seconds: float = SECONDS,
        most: int = MOST,
        most_of_session: int = MOST_OF_SESSION,
    ) -> None:
        self._reader, self._seconds = reader, seconds
        self._most, self._most_of_session = most, most_of_session
        self._seats: set[Seat] = set()
        self._rounds: asyncio.Task[None] | None = None
        self._is_closed = False

    def is_full(self, token: str) -> bool:
        """Whether no other page can listen, of this session or at all."""
        mine = sum(seat.token == token for seat in self._seats)
        return self._is_closed or len(self._seats) >= self._most or mine >= self._most_of_session

    def close(self) -> None:
        """The console stops: every stream ends now, and none begins."""
        self._is_closed = True
        for seat in self._seats:
            seat.leave()

    async def stream(self, seat: Seat, sessions: Sessions) -> AsyncIterator[str]:
        """What a page hears, as the lines of an event stream."""
        with self._seated(seat, sessions):
            yield COME_AGAIN
            until = monotonic() + LONGEST_SECONDS
            while not seat.is_over and monotonic() < until:
                says = await seat.next(HEARTBEAT_SECONDS)
                yield HEARTBEAT if says is None else f"event: {says}\ndata:\n\n"

    @contextmanager
    def _seated(self, seat: Seat, sessions: Sessions) -> Iterator[None]:
        self._seats.add(seat)
        if self._rounds is None or self._rounds.done():
            self._rounds = asyncio.create_task(self._look(sessions), name="live pages")
        try:
            yield
        finally:
            self._seats.discard(seat)

    async def _look(self, sessions: Sessions) -> None:
        rest = self._seconds
        while self._seats:
            await asyncio.sleep(rest)
            if not self._seats:
                return
            began = monotonic()
            try:
                await self._tell(sessions)
            except (Unreadable, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.warning("live pages are old", why=str(error) or type(error).__name__)
                for seat in self._seats:
                    seat.tell("old")
            rest = max(self._seconds, REST * (monotonic() - began))

    async def _tell(self, sessions: Sessions) -> None:
        left = await sessions.left({seat.token for seat in self._seats})
        for seat in self._seats:
            if seat.token not in left:
                seat.tell("ended")
        marks = await self._reader.marks({seat.of for seat in self._seats if not seat.is_over})
        for seat in self._seats:
            if seat.of in marks:
                seat.tell("same" if marks[seat.of] == seat.mark else "newer")


def routes(live: Live, reader: Reader) -> list[Route]:
    """The routes of this module. Neither keeps a session from ending."""
    return [
        get("/live", partial(listen, live), "ops:read", is_quiet=True),
        get("/live/now", partial(ask, reader), "ops:read", is_quiet=True),
    ]


async def listen(live: Live, request: Request, visit: Visit) -> Response:
    """A stream for a page; 503 where there are too many, and the page asks now and then instead."""
    seat = _seat_of(request)
    if seat is None:
        return Response(status_code=404)
    if live.is_full(seat.token):
        return Response(status_code=503, headers={"retry-after": "30"})
    headers = {"x-accel-buffering": "no"}
    stream = live.stream(seat, request.app.state.sessions)
    return StreamingResponse(stream, media_type="text/event-stream", headers=headers)


async def ask(reader: Reader, request: Request, visit: Visit) -> Response:
    """The same word once, for a page that has no stream. Raises Unreadable."""
    seat = _seat_of(request)
    if seat is None:
        return Response(status_code=404)
    marks = await reader.marks({seat.of})
    return JSONResponse({"says": "same" if marks[seat.of] == seat.mark else "newer"})


def _seat_of(request: Request) -> Seat | None:
    of, mark = (request.query_params.get(name, "") for name in ("of", "mark"))
    if len(of) > LONGEST_NAME or not (of in LISTS or of in SERVICES or of.startswith(KEY)):
        return None
    return Seat(of, mark, request.cookies.get(cookie_of(request), ""))
