"""How to reach a NATS server: the extension's settings, and what the NATS client makes of them."""

import importlib.util
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from symphony_sdk.errors import ConfigurationError


class NatsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which server to join and how to show who this is.

    Args:
        url: Address of the server, or several of one cluster with commas between them.
        name: What the server's monitoring calls this connection; empty for the name of the node.
        user: User name.
        password: Password of the user.
        token: Token of a server that asks for one in place of a user.
        credentials: Path of a `.creds` file.
        nkey: Path of a file with the seed of a user's NKey.
        tls_ca: Path of the certificates that the server's is checked with; empty for those of the system.
        tls_certificate: Path of the certificate to show to the server.
        tls_key: Path of its key.
        kept_mebibytes: MiB that the server keeps for durable subscriptions.
    """

    url: str = "nats://127.0.0.1:4222"
    name: str = ""
    user: str = ""
    password: str = ""
    token: str = ""
    credentials: str = ""
    nkey: str = ""
    tls_ca: str = ""
    tls_certificate: str = ""
    tls_key: str = ""
    kept_mebibytes: int = 1024

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "NatsSettings":
        """The settings in the validated configuration of the extension."""
        return msgspec.convert(dict(config), cls)

    @property
    def servers(self) -> list[str]:
        """Each address."""
        return [address for each in self.url.split(",") if (address := each.strip())]

    @property
    def shown(self) -> str:
        """The addresses without what is secret in them."""
        return ", ".join(address.rpartition("://")[2].rpartition("@")[2] for address in self.servers)

    def options(self) -> dict[str, Any]:
        """The arguments of the NATS client that say where, who, and how to trust.

        Raises:
            ConfigurationError: A file cannot be read, or what `credentials` and `nkey` need is not installed.
        """
        options: dict[str, Any] = {"servers": self.servers}
        if self.user:
            options |= {"user": self.user, "password": self.password}
        if self.token:
            options["token"] = self.token
        if self.credentials or self.nkey:
            if importlib.util.find_spec("nkeys") is None:
                raise ConfigurationError(
                    "the settings `credentials` and `nkey` of symphony.transport-nats need the library nkeys",
                    hint="Install `symphony-transport-nats[nkeys]`.",
                )
            for key, path in (("user_credentials", self.credentials), ("nkeys_seed", self.nkey)):
                if path:
                    options[key] = _readable(path)
        if self.tls_ca or self.tls_certificate:
            options["tls"] = self._tls()
        return options

    def _tls(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self.tls_ca or None)
            if self.tls_certificate:
                context.load_cert_chain(self.tls_certificate, self.tls_key or None)
        except OSError as error:  # ssl.SSLError is one
            files = ", ".join(filter(None, (self.tls_ca, self.tls_certificate, self.tls_key)))
            raise ConfigurationError(
                f"the TLS files of symphony.transport-nats cannot be used: {error} ({files})",
                hint="They are PEM files that this user may read; the key belongs to the certificate.",
            ) from error
        return context


def _readable(path: str) -> str:
    try:
        with Path(path).open("rb"):
            return path
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read: {error.strerror}",
            hint="`credentials` and `nkey` of symphony.transport-nats name files that this user may read.",
        ) from error
