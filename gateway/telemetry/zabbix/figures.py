"""Which sets of items does the template have?"""

from gateway.telemetry.readings import STATES
from gateway.telemetry.zabbix.items import Buckets
from gateway.telemetry.zabbix.of_gateway import GATEWAY
from gateway.telemetry.zabbix.of_pools import BACKEND, POOL, STATE_MAP, YES_MAP
from gateway.telemetry.zabbix.of_routes import CACHED_ROUTE, ROUTE

#: What numbers stand for.
VALUE_MAPS = {
    STATE_MAP: {**dict(enumerate(STATES)), -1: "no more there"},
    YES_MAP: {0: "no", 1: "yes"},
}
SCOPES = (GATEWAY, POOL, BACKEND, ROUTE, CACHED_ROUTE)
BUCKETS = (
    Buckets("gateway.lag.bucket", "gateway_event_loop_lag_seconds", GATEWAY),
    Buckets("gateway.route.duration.bucket", "gateway_request_duration_seconds", ROUTE),
    Buckets("gateway.pool.queue.bucket", "gateway_queue_seconds", POOL),
)
