"""How is a kept stream given at the pace at which it came? Piece by piece, as far as the client takes it."""

from gateway import clock
from gateway.cache.entry import Entry
from gateway.cache.status import hit_lines
from gateway.following import over_time
from gateway.messages import Exchange, Request
from gateway.ports import Client
from gateway.route_cache import HIT, RouteCache, own_lines


async def replay(
    route: RouteCache, client: Client, request: Request, record: Exchange, entry: Entry, until: float
) -> None:
    """Give `entry`, which has pieces, with its pauses; what is not given by `until` (seconds) is cut off."""
    now = clock.wall()
    record.cache, record.status = HIT, entry.status
    fields = entry.fields + hit_lines(entry.age(now), entry.fresh_s) + own_lines(client, record)
    client.begin_reply(request, entry.status, fields, None, True)
    begin = at = clock.now()
    position = 0
    for offset_s, size in entry.pieces:
        while at < begin + offset_s or not client.writable:
            due = begin + offset_s if client.writable else until
            if at >= until:
                record.error = over_time(request, until).kind
                client.cut_reply()
                return
            at = await client.pause(at, min(max(due, at), until))
        client.relay(entry.body[position : position + size])
        position += size
    client.end_reply()
    route.saved(entry.cost_s, len(entry.body))
