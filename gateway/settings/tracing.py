"""Which keys does tracing have, and what does each mean?"""

from pydantic import Field

from gateway.settings.fields import Duration, HeaderName, Share, Text, Url
from gateway.settings.pools import Section


class Tracing(Section):
    """Spans of requests, sent to a collector; without this block there are none. It needs the extra
    `[otel]` (`pip install 'model-gateway[otel]'`)."""

    otlp: Url
    """Where spans are posted, the whole URL of an OTLP/HTTP receiver: `http://127.0.0.1:4318/v1/traces`."""
    sample: Share = 1.0
    """Share of requests that are traced, of those whose client has not decided: a `traceparent` that says
    sampled, or not, is obeyed."""
    headers: dict[HeaderName, Text] = Field(default_factory=dict, repr=False)
    """Header fields for the collector. Credentials belong into the environment:
    `authorization: Bearer ${OTLP_TOKEN}`."""
    service_name: Text = "gateway"
    """What these spans' service is called."""
    timeout: Duration = 5.0
    """Longest that one export may take; what is not taken by then is dropped."""
