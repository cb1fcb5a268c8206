"""The access token of a destination that speaks OAuth: used, renewed, kept.

A refresh that rotates makes the old refresh token worthless, so the new one is written
to a file of its own (mode 0600, replaced as a whole) before anything uses it. Whoever
finds the token expired waits for the one refresh that is under way; it goes on when
they are told to stop waiting, for what it rotates must not be lost.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias

import orjson

from gateway.event import Json

Refresh: TypeAlias = Callable[[Mapping[str, Json]], Awaitable[Mapping[str, Json] | str]]
"""(what to refresh with) -> ``{"accessToken", "refreshToken"}``, or why not"""


class Tokens:
    """What one destination's actions are given as ``auth``."""

    def __init__(
        self, given: Mapping[str, str], *, refreshes: bool, file: Path
    ) -> None:
        self._given = given
        self._refreshes = refreshes
        self._file = file
        self._access = given.get("access_token", "")
        self._refresh = given.get("refresh_token", "")
        self._read = False
        self._unkept = False  # whether the last one that was rotated is on no disk
        self._renewing: asyncio.Task[str | None] | None = None
        self._disk: ThreadPoolExecutor | None = None

    @property
    def secrets(self) -> tuple[str, str]:
        """What must be shown to nobody."""
        return self._access, self._refresh

    @property
    def renewable(self) -> bool:
        """Whether a refresh may help: the destination has one, and what it needs."""
        return self._refreshes and not (
            self._given.get("access_token") and not self._refresh
        )

    async def auth(self, refresh: Refresh) -> Mapping[str, Json] | str:
        """What an action is given; why there is nothing to give."""
        if not self._read:
            await self._from_file()
        if not self._access and self.renewable:
            why = await self.renew("", refresh)
            if why is not None:
                return why
        return self._auth()

    def _auth(self) -> Mapping[str, Json]:
        return {"accessToken": self._access, "refreshToken": self._refresh}

    async def renew(self, used: str, refresh: Refresh) -> str | None:
        """A new access token in the place of ``used``; why there is none, or None."""
        if self._renewing is None:
            if self._access != used:
                return None  # somebody has done it meanwhile
            self._renewing = asyncio.create_task(self._renew(refresh))
            self._renewing.add_done_callback(self._renewed)
        return await asyncio.shield(self._renewing)

    def _renewed(self, task: asyncio.Task[str | None]) -> None:
        del task
        self._renewing = None

    async def _renew(self, refresh: Refresh) -> str | None:
        ids = {
            "clientId": self._given.get("client_id"),
            "clientSecret": self._given.get("client_secret"),
        }
        said = await refresh({**self._auth(), **ids})
        if isinstance(said, str):
            return said
        access, rotated = said.get("accessToken"), said.get("refreshToken")
        if not isinstance(access, str) or not access:
            return "the refresh gave no access token"
        if isinstance(rotated, str) and rotated and rotated != self._refresh:
            self._refresh = rotated
            self._unkept = True
        if self._unkept:
            try:
                await self._on_disk(self._write)
            except OSError as error:
                return f"the rotated token cannot be kept: {type(error).__name__}"
            self._unkept = False
        self._access = access
        return None

    async def _from_file(self) -> None:
        """The refresh token that came last, if it came from the one configured."""
        self._read = True
        if self._refresh and self._refreshes:
            await self._on_disk(self._load)

    async def _on_disk(self, work: Callable[[], None]) -> None:
        if self._disk is None:
            name = f"actions-{self._file.stem}"
            self._disk = ThreadPoolExecutor(1, thread_name_prefix=name)
        await asyncio.get_running_loop().run_in_executor(self._disk, work)

    def _load(self) -> None:
        try:
            kept = orjson.loads(self._file.read_bytes())
        except (OSError, orjson.JSONDecodeError):
            return  # none was rotated yet
        match kept:
            case {"from": source, "refresh_token": str(rotated)} if rotated:
                if source == self._given.get("refresh_token"):
                    self._refresh = rotated

    def _write(self) -> None:
        kept = {
            "from": self._given.get("refresh_token"),
            "refresh_token": self._refresh,
        }
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = self._file.with_suffix(".new")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.fchmod(descriptor, 0o600)  # whoever left one there, and as what
            os.write(descriptor, orjson.dumps(kept))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        new.replace(self._file)

    async def close(self) -> None:
        """Wait for a refresh that is under way, and let the thread go."""
        if self._renewing is not None:
            await asyncio.wait([self._renewing])
        if self._disk is not None:
            self._disk.shutdown()
