"""Whom a backlog is delivered to: a table of the configuration each."""

from dataclasses import dataclass
from string import ascii_lowercase

LETTERS = ascii_lowercase  # what they are called in the configuration
HOSTS = (  # whose requests go to the sink
    "api.intercom.io",
    "api.mixpanel.com",
    "api2.amplitude.com",
    "hooks.slack.com",
    "track.customer.io",
)
FILE_NAME = "a.ndjson"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A destination that is measured.

    ``toml``: what its table has, with ``@NAME@``, ``@SINK@``, ``@BOOTSTRAP@`` and
    ``@TOPIC@`` where these go. ``requests``: how many an identify is, so that the sink
    knows how many events came; 0: another number, or many events in one.
    """

    name: str
    toml: str
    requests: int = 0

    @property
    def in_node(self) -> bool:
        """Whether a process of Node's makes up the requests."""
        return self.name.startswith("actions:")


FILE = Target(name="file", toml=f'type = "file"\nsettings = {{ path = "{FILE_NAME}" }}')
IDLE = Target(name="idle", toml='type = "file"\nsettings = { path = "idle.ndjson" }')
WEBHOOK = Target(
    name="webhook",
    toml='type = "webhook"\nsettings = { url = "@SINK@/hook" }',
    requests=1,
)
KAFKA = Target(
    name="kafka",
    toml='type = "kafka"\n'
    'settings = { bootstrap_servers = "@BOOTSTRAP@", topic = "@TOPIC@" }',
)
NATIVE = {
    "customerio": Target(
        name="customerio",
        toml='type = "customerio"\n'
        'settings = { site_id = "bench", api_key = "of the bench" }',
    ),
    "mixpanel": Target(
        name="mixpanel",
        toml='type = "mixpanel"\n'
        'settings = { project_token = "bench", api_secret = "of the bench" }',
    ),
    "amplitude": Target(
        name="amplitude",
        toml='type = "amplitude"\nsettings = { api_key = "bench" }',
    ),
    "intercom": Target(
        name="intercom",
        toml='type = "intercom"\nsettings = { access_token = "bench" }',
    ),
    "slack": Target(
        name="slack",
        toml='type = "slack"\n'
        'settings = { url = "https://hooks.slack.com/services/of/the/bench" }',
        requests=1,
    ),
}
ACTIONS = {
    "customerio": Target(
        name="actions:customerio",
        toml='type = "actions:customerio"\n'
        'settings = { siteId = "bench", apiKey = "of the bench" }',
        requests=1,
    ),
    "mixpanel": Target(
        name="actions:mixpanel",
        toml='type = "actions:mixpanel"\n'
        'settings = { projectToken = "bench", apiSecret = "of the bench" }',
        requests=2,
    ),
    "amplitude": Target(
        name="actions:amplitude",
        toml='type = "actions:amplitude"\n'
        'settings = { apiKey = "bench", secretKey = "of the bench" }',
        requests=1,
    ),
    "intercom": Target(
        name="actions:intercom",
        toml="""\
type = "actions:intercom"
oauth = { access_token = "bench" }
[[destinations.@NAME@.actions]]
action = "identifyContact"
trigger = 'type = "identify"'
""",
        requests=2,
    ),
    "slack": Target(
        name="actions:slack",
        toml="""\
type = "actions:slack"
[[destinations.@NAME@.actions]]
action = "postToChannel"
trigger = 'type = "identify"'
[destinations.@NAME@.actions.mapping]
url = "https://hooks.slack.com/services/of/the/bench"
text = { "@template" = "*{{traits.email}}* identified" }
""",
        requests=1,
    ),
}


def chosen(*, actions: bool, kafka: bool) -> list[Target]:
    """The plain ones, each vendor's beside the action of the same, and Kafka."""
    pairs = [each for name in NATIVE for each in (NATIVE[name], ACTIONS[name])]
    return [FILE, WEBHOOK, *([KAFKA] if kafka else ()), *(pairs if actions else ())]
