"""Mail, through smtplib: TLS with verified certificates, one message a connection, bounded by a deadline."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, formataddr, localtime

from bisectbot.channels import Attachment, Mail, Message, Security, Smtp
from bisectbot.effects.cutoff import cut_off
from bisectbot.errors import ConfigError, InfraError, Overdue
from bisectbot.ports import Deadline
from bisectbot.reach import Secrets
from bisectbot.visible import visible

_PERMANENT = 500  # SMTP's answers from here on: trying again can't help
_CONNECTION_SECONDS = 30.0
_RFC_LINE = 998  # bytes of a line in a mail; a longer one is encoded anyway


class SmtpSender:
    """Fits channels.Sender."""

    def __init__(self, mail: Mail, smtp: Smtp, secrets: Secrets) -> None:
        self._mail = mail
        self._smtp = smtp
        self._secrets = secrets

    def send(self, message: Message, deadline: Deadline) -> str:
        """Hand it to the server; the addresses that it didn't take are returned, unless that is all of them."""
        smtp = self._smtp
        password = self._secrets.reveal(smtp.password) if smtp.password else ""
        if not f"{smtp.user}{password}".isascii():
            raise ConfigError(f"{smtp.password} has more than ASCII in it, which a login by SMTP can't carry")
        try:
            with _connected(smtp, deadline) as server:
                if smtp.user:
                    server.login(smtp.user, password)
                refused = server.send_message(mime(message, self._mail), self._mail.sender, list(self._mail.to))
        except (OSError, smtplib.SMTPException, ValueError) as error:
            # its context may hold the login, password and all
            raise _fault(smtp, error, deadline, password) from None
        return "; ".join(f"{address}: {_said(answer)}" for address, answer in refused.items())


@contextmanager
def _connected(smtp: Smtp, deadline: Deadline) -> Iterator[smtplib.SMTP]:
    context = None if smtp.security is Security.NONE else _context(smtp)
    seconds = max(0.1, min(_CONNECTION_SECONDS, deadline.remaining))
    server = smtplib.SMTP_SSL(timeout=seconds, context=context) if _at_once(smtp) else smtplib.SMTP(timeout=seconds)
    # The name that the certificate has to have. Given to the constructor it would connect before anything bounds it.
    server._host = smtp.host  # type: ignore[attr-defined]  # noqa: SLF001  as said
    with cut_off(lambda: server.sock, deadline):
        try:
            server.connect(smtp.host, smtp.port)
            if smtp.security is Security.STARTTLS:
                server.starttls(context=context)
            yield server
            # it was taken: how the goodbye goes changes nothing
            with suppress(OSError, smtplib.SMTPException):
                server.quit()
        finally:
            server.close()


def _at_once(smtp: Smtp) -> bool:
    return smtp.security is Security.TLS


def _context(smtp: Smtp) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=smtp.ca)
    except OSError as error:
        raise ConfigError(
            f"notices.mail.ca: {smtp.ca} can't be used: {error}", hint="it has to be a PEM file"
        ) from None


def _fault(  # noqa: PLR0911  one line a fault
    smtp: Smtp, error: Exception, deadline: Deadline, password: str
) -> InfraError | ConfigError:
    where = f"the mail server {smtp.host}:{smtp.port}"
    text = visible((str(error) or type(error).__name__).replace(password or "\0", "***"), 300)
    match error:
        case ssl.SSLCertVerificationError():
            return ConfigError(
                f"the certificate of {where} isn't trusted: {text}", hint="see notices.mail.ca, and host"
            )
        case smtplib.SMTPAuthenticationError():
            why = f"{where} doesn't take user {visible(smtp.user, 80)} and the password ({error.smtp_code})"
            return _judged(error.smtp_code, why, "check notices.mail.user and password")
        case smtplib.SMTPNotSupportedError():
            return ConfigError(f"{where} can't do what it is asked for: {text}", hint="see notices.mail.security")
        case smtplib.SMTPRecipientsRefused():
            answers = error.recipients
            told = "; ".join(f"{address}: {_said(answer)}" for address, answer in answers.items())
            return _judged(min(code for code, _ in answers.values()), f"{where} takes none of the addresses: {told}")
        case smtplib.SMTPResponseException():
            return _judged(error.smtp_code, f"{where} refuses: {_said((error.smtp_code, error.smtp_error))}")
        case _ if deadline.passed or isinstance(error, TimeoutError):
            return Overdue(f"{where} didn't answer in time")
        case _:
            return InfraError(f"{where} can't be used now: {text}")


def _judged(code: int, why: str, hint: str = "check the addresses of notices.mail") -> InfraError | ConfigError:
    return ConfigError(why, hint=hint) if code >= _PERMANENT else InfraError(why)


def _said(answer: tuple[int, bytes | str]) -> str:
    code, text = answer
    return visible(f"{code} {text.decode(errors='replace') if isinstance(text, bytes) else text}", 200)


# --- the mail itself ---------------------------------------------------------------------------


def mime(message: Message, mail: Mail) -> EmailMessage:
    """Return a message as a mail. The same message has the same Message-ID; a session's are one thread."""
    domain = mail.sender.rpartition("@")[2]
    made = EmailMessage(policy=SMTP)
    made["Subject"] = message.subject
    made["From"] = formataddr(("bisectbot", mail.sender))
    made["To"] = ", ".join(mail.to)
    made["Date"] = format_datetime(localtime())
    made["Message-ID"] = f"<{message.key}@{domain}>"
    if message.thread != message.key:
        made["In-Reply-To"] = made["References"] = f"<{message.thread}@{domain}>"
    made["Auto-Submitted"] = "auto-generated"  # nobody's holiday answers this
    made.set_content(_sound(message.text), cte=_encoding(message.text))
    for one in message.attachments:
        _attach(made, one)
    return made


def _attach(made: EmailMessage, one: Attachment) -> None:
    made.add_attachment(_sound(one.text), subtype=one.subtype, filename=one.name, cte=_encoding(one.text))


def _encoding(text: str) -> str:
    """Return the encoding that a person can read as it is, where there is one that every server lets through."""
    short = all(len(line) < _RFC_LINE for line in text.splitlines())
    return "7bit" if text.isascii() and short else "quoted-printable"


def _sound(text: str) -> str:
    """Return text that is UTF-8 for sure."""
    return text.encode(errors="replace").decode()
