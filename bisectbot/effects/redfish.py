"""Power by a BMC that speaks Redfish, through sushy."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sushy  # type: ignore[import-untyped]  # ships no types
from sushy.auth import BasicAuth  # type: ignore[import-untyped]
from sushy.connector import Connector  # type: ignore[import-untyped]

from bisectbot.errors import HostSick, InfraError, Overdue, Refused, Stranger, Unreachable
from bisectbot.lab import RedfishPower
from bisectbot.ports import Deadline
from bisectbot.reach import PowerState, Secrets
from bisectbot.visible import visible

logging.getLogger("sushy").setLevel(logging.CRITICAL)  # it tells of what it raises, too, and that to stderr

_BODY_BYTES = 1 << 20
_PIECE_BYTES = 1 << 16
_STATES = {sushy.PowerState.ON: PowerState.ON, sushy.PowerState.OFF: PowerState.OFF}


class RedfishSwitch:
    """Fits reach.Switch. Every question logs in anew (HTTP Basic): BMCs have few sessions and forget to end them."""

    def __init__(self, bmc: RedfishPower, secrets: Secrets) -> None:
        self._bmc = bmc
        self._secrets = secrets

    def on(self, deadline: Deadline) -> None:
        """Ask for power.

        Unreachable if nobody answers, Stranger if the certificate isn't the one that was meant, Refused if user and
        password aren't taken, HostSick for anything else that isn't a yes, Overdue past the deadline.
        """
        with self._system(deadline) as system:
            system.reset_system(sushy.ResetType.ON)

    def off(self, deadline: Deadline) -> None:
        """Ask for no power, at once. Raises as on()."""
        with self._system(deadline) as system:
            system.reset_system(sushy.ResetType.FORCE_OFF)

    def status(self, deadline: Deadline) -> PowerState:
        """Ask how it is; HostSick while it is between on and off. Raises as on()."""
        with self._system(deadline) as system:
            state = system.power_state
            if state not in _STATES:
                raise HostSick(f"the BMC {self._bmc.url} says that the power is {state.value if state else 'unknown'}")
            return _STATES[state]

    def cycle(self, deadline: Deadline) -> bool:  # noqa: ARG002  as reach.Switch
        """Say that off and on are to be asked for: a cycle of its own can't be confirmed."""
        return False

    def netboot_once(self, deadline: Deadline) -> bool:
        """Ask for PXE at the next start, once, and say True; the firmware's mode stays as it is. Raises as on()."""
        with self._system(deadline) as system:
            system.set_system_boot_options(target=sushy.BootSource.PXE, enabled=sushy.BootSourceOverrideEnabled.ONCE)
        return True

    @contextmanager
    def _system(self, deadline: Deadline) -> Iterator[Any]:
        bmc = self._bmc
        password = self._secrets.reveal(bmc.password)
        door = _Door(bmc, deadline)
        try:
            # bytes, or a password with more than Latin-1 in it can't be sent
            root = sushy.Sushy(bmc.url, auth=BasicAuth(bmc.user.encode(), password.encode()), connector=door)
            yield root.get_system(_path(bmc.system)) if bmc.system else _only(root, bmc)
        except InfraError:
            raise
        except Exception as error:  # noqa: BLE001  odd answers come out of sushy as any of Python's own errors
            raise _fault(bmc, error, deadline, password) from None  # its context holds the request, password and all
        finally:
            door.close()


def _path(system: str) -> str:
    return system if system.startswith("/") else f"/redfish/v1/Systems/{system}"


def _only(root: Any, bmc: RedfishPower) -> Any:  # noqa: ANN401  sushy ships no types
    found = root.get_system_collection().get_members()
    if len(found) != 1:
        raise HostSick(f"the BMC {bmc.url} has {len(found)} systems, not exactly one", hint="name the host's: `system`")
    return found[0]


class _Door(Connector):  # type: ignore[misc]  # sushy ships no types
    """sushy's HTTP, bounded by a deadline and in bytes; it follows no redirection and no proxy of this machine's."""

    def __init__(self, bmc: RedfishPower, deadline: Deadline) -> None:
        paths = ssl.get_default_verify_paths()
        trusted = bmc.ca or paths.cafile or paths.capath or True
        super().__init__(
            bmc.url,
            verify=trusted if trusted is True else str(trusted),
            response_callback=self._take,
            server_side_retries=1,  # of an answer like 503; a connection that fails isn't tried again
        )
        self._session.trust_env = False  # no proxies and no ~/.netrc
        self._deadline = deadline

    def _op(self, method: str, path: str = "", **rest: Any) -> Any:  # noqa: ANN401  sushy's own
        rest |= {"timeout": self._left(), "stream": True, "allow_redirects": False}
        return super()._op(method, path, **rest)

    def _left(self) -> float:
        if self._deadline.passed:
            raise Overdue(f"the BMC {self._url} didn't answer in time")
        return self._deadline.remaining

    def _take(self, response: Any) -> None:  # noqa: ANN401  of requests, which is sushy's business
        """Read the body, which would else be read without any bound."""
        body = b""
        while piece := response.raw.read1(_PIECE_BYTES):
            body += piece
            self._left()
            if len(body) > _BODY_BYTES:
                raise HostSick(f"the BMC {self._url} answers more than {_BODY_BYTES} bytes")
        response._content, response._content_consumed = body, True  # noqa: SLF001  as if requests had read it


def _fault(bmc: RedfishPower, error: Exception, deadline: Deadline, password: str) -> InfraError:
    text = visible(str(error).replace(password, "***") or type(error).__name__, 300)
    if isinstance(error, sushy.exceptions.AccessError):
        return Refused(f"the BMC {bmc.url} doesn't take user {bmc.user} and the password", hint=f"check {bmc.password}")
    if "CERTIFICATE_VERIFY_FAILED" in text or "certificate verify failed" in text:
        hint = "give the certificate that signed the BMC's own as `ca`"
        return Stranger(f"the certificate of the BMC {bmc.url} isn't trusted: {text}", hint=hint)
    if deadline.passed:
        return Overdue(f"the BMC {bmc.url} didn't answer in time")
    if isinstance(error, sushy.exceptions.ConnectionError):
        return Unreachable(f"the BMC {bmc.url} can't be reached: {text}")
    return HostSick(f"the BMC {bmc.url} answers what can't be understood, or says no: {text}")
