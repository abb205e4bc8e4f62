"""The nftables rules that put packets into classes and queues, as the text that `nft -f` reads. Pure.

What leaves is put into a class by its DSCP and into its device's queue, before addresses are translated. What it is
answered with goes the same way: the pair of address and port under which it left is noted, and looked up when packets
arrive, before they pass the ifb. So a call's picture is known as such although no mark survives the way through an
operator's network, a device is known although the box translates addresses, and nobody's address is written anywhere
but in the kernel's own table, for minutes.

Devices get their queues in turn, the first so many without sharing. A full table means that new flows' answers wait
among strangers' in the web class; nothing is refused. IPv6 is not translated, so ports alone tell its flows apart.

The windows that devices offer in TCP are lowered as they pass (`windows`): how a window is scaled is noted when a flow
begins, by both ends (RFC 7323 §2.2), so flows that began before the shaper did are not touched, nor are calls and
orders. What the box itself sends does not pass here.

Sources: nft(8); RFC 4594 §2.3 table 3, RFC 5865 (voice-admit), RFC 8622 §4 (LE).
"""

from gateway.backhaul.shaping.kernel.plan import CAKE_TINS, HANDLE, IFB, Queueing, leaf_of, strangers
from gateway.backhaul.shaping.kernel.windows import SCALES
from gateway.backhaul.sharing.classes import TrafficClass

TABLE = "tambo"
BUSY = "busy"  # the flows that were sent something of late, by their ports
BUSY_MAX = 256  # with more, each has its one segment up to 60 Mbit/s
BUSY_S = 0.5
DATA_BYTES = 576  # a longer packet brings content: RFC 9293 §3.7.1
SOURCE6, DESTINATION6 = "@nh,128,64", "@nh,256,64"  # the second half of an address (RFC 8200 §3): a key and its value
# must fit four registers each, for nft 1.0.6 writes the value over a longer key
NO_SCALE = "ffff:ffff"
UNTOUCHED = (TrafficClass.REALTIME, TrafficClass.INTERACTIVE)
DSCP = {
    TrafficClass.REALTIME: (46, 44, 40, 32, 34, 36, 38),  # EF, voice-admit, CS5, CS4, AF4x
    TrafficClass.INTERACTIVE: (48, 56, 16, 18, 20, 22),  # CS6, CS7 (a router's own), CS2, AF2x
    TrafficClass.BULK: (1, 8, 10, 12, 14),  # LE, CS1, AF1x
}
DEVICES_MAX = 4096
FLOWS_MAX = 32_768
DEVICE_S = 3_600
FLOW_S = 300  # RFC 4787 §4.3: a translation of UDP lives at least two minutes, and should five

REMOVE = f"""
add table inet {TABLE}
delete table inet {TABLE}
add table netdev {TABLE}
delete table netdev {TABLE}
"""


def ruleset(interface: str, queueing: Queueing, devices: int, *, windows: bool) -> str:
    """Return the whole of it, for one link; what stood of ours before is replaced in one step."""
    return f"""{REMOVE}
table inet {TABLE} {{
  map device4 {{ typeof ip saddr : meta priority; size {DEVICES_MAX}; flags dynamic,timeout; timeout {DEVICE_S}s; }}
  map device6 {{ typeof ip6 saddr : meta priority; size {DEVICES_MAX}; flags dynamic,timeout; timeout {DEVICE_S}s; }}
  map flow4 {{
    typeof meta l4proto . ip saddr . th sport : meta priority
    size {FLOWS_MAX}; flags dynamic,timeout; timeout {FLOW_S}s;
  }}
  map flow6 {{
    typeof meta l4proto . th sport . th dport : meta priority
    size {FLOWS_MAX}; flags dynamic,timeout; timeout {FLOW_S}s;
  }}
{_classes(queueing)}
{_devices(queueing, devices)}
  chain passing {{
    type filter hook forward priority mangle;
    oifname != "{interface}" return
    meta nfproto ipv4 jump queue4
    meta nfproto ipv6 jump queue6
    jump classify
  }}
  chain own {{
    type filter hook output priority mangle;
    oifname != "{interface}" return
    meta priority set {HANDLE:x}:0
    jump classify
  }}
  chain left {{
    type filter hook postrouting priority 110;
    oifname != "{interface}" return
    meta nfproto ipv4 meta l4proto {{ tcp, udp }} update @flow4 {{ meta l4proto . ip saddr . th sport : meta priority }}
    meta nfproto ipv6 meta l4proto {{ tcp, udp }} update @flow6 {{ meta l4proto . th sport . th dport : meta priority }}
  }}
{_arriving(interface, queueing, devices)}
{_windows(interface) if windows else ""}
}}
"""


def redirection(interface: str) -> str:
    """Return the rule that leads what arrives through the ifb; the `inet` rules have classed it by then."""
    return f"""
table netdev {TABLE} {{
  chain arriving {{
    type filter hook ingress device "{interface}" priority 0;
    fwd to "{IFB}"
  }}
}}
"""


def chain_of(scale: int) -> str:
    """Return the chain that lowers windows of this scale; empty, it lets them be."""
    return f"window{scale}"


def _windows(interface: str) -> str:
    """Return what finds a flow's scale before its device has a queue; meta priority holds it for so long."""
    marks = ", ".join(str(mark) for each in UNTOUCHED for mark in DSCP[each])
    scales = ", ".join(f"{scale} : goto {chain_of(scale)}" for scale in SCALES)
    key4, key6 = ("tcp sport . tcp dport . ip saddr", f"tcp sport . tcp dport . {SOURCE6}")
    from4, from6 = ("tcp dport . tcp sport . ip daddr", f"tcp dport . tcp sport . {DESTINATION6}")
    forgotten = f"flags dynamic,timeout; timeout {BUSY_S * 1000:.0f}ms;"
    return f"""{_scale_maps(key4, key6)}
  set {BUSY} {{ typeof tcp sport . tcp dport; size {BUSY_MAX}; {forgotten} }}
{_window_chains()}
  chain note {{
    meta nfproto ipv4 delete @scale4 {{ {key4} : meta priority }}
    meta nfproto ipv6 delete @scale6 {{ {key6} : meta priority }}
    meta priority set 0
    tcp option window exists meta priority set tcp option window count
    meta nfproto ipv4 update @scale4 {{ {key4} : meta priority }}
    meta nfproto ipv6 update @scale6 {{ {key6} : meta priority }}
    update @{BUSY} {{ tcp dport . tcp sport }}
    goto {chain_of(0)}
  }}
  chain told {{
    meta length > {DATA_BYTES} update @{BUSY} {{ tcp sport . tcp dport }}
    tcp flags & syn == 0 return
    tcp option window exists return
    meta nfproto ipv4 delete @scale4 {{ {from4} : meta priority }}
    meta nfproto ipv6 delete @scale6 {{ {from6} : meta priority }}
    meta priority set 0
    meta nfproto ipv4 update @scale4 {{ {from4} : meta priority }}
    meta nfproto ipv6 update @scale6 {{ {from6} : meta priority }}
  }}
  chain windows {{
    type filter hook forward priority mangle - 5;
    meta l4proto != tcp return
    iifname "{interface}" goto told
    oifname != "{interface}" return
    ip dscp {{ {marks} }} return
    ip6 dscp {{ {marks} }} return
    tcp flags & syn == syn goto note
    meta priority set {NO_SCALE}
    meta nfproto ipv4 meta priority set {key4} map @scale4
    meta nfproto ipv6 meta priority set {key6} map @scale6
    meta priority {NO_SCALE} return
    meta nfproto ipv4 update @scale4 {{ {key4} : meta priority }}
    meta nfproto ipv6 update @scale6 {{ {key6} : meta priority }}
    meta priority vmap {{ {scales} }}
  }}"""  # noqa: S608 - words of nft


def _window_chains() -> str:
    return "\n".join(f"  chain {chain_of(scale)} {{ }}" for scale in SCALES)


def _scale_maps(key4: str, key6: str) -> str:
    kept = f"size {FLOWS_MAX}; flags dynamic,timeout; timeout {FLOW_S}s;"
    return "\n".join(
        f"  map scale{version} {{ typeof {key} : meta priority; {kept} }}" for version, key in ((4, key4), (6, key6))
    )


def _classes(queueing: Queueing) -> str:
    marks = ", ".join(f"{mark} : goto {each}" for each, named in DSCP.items() for mark in named)
    chains = "\n".join(f"  chain {each} {{ {_into(queueing, each)}; }}" for each in TrafficClass)
    return f"""{chains}
  chain classify {{
    ip dscp vmap {{ {marks} }}
    ip6 dscp vmap {{ {marks} }}
    goto web
  }}"""


def _into(queueing: Queueing, traffic_class: TrafficClass) -> str:
    if queueing is Queueing.CAKE:
        return f"meta priority set {HANDLE:x}:{CAKE_TINS[traffic_class]:x}"
    return f"meta priority set meta priority or {leaf_of(traffic_class, 0):#x}"


def _devices(queueing: Queueing, devices: int) -> str:
    """Return the chains that give a device its queue; CAKE knows devices by itself."""
    if queueing is Queueing.CAKE:
        return "  chain queue4 { }\n  chain queue6 { }"
    first = (HANDLE << 16) + 1
    return "\n".join(
        f"""  chain queue{version} {{
    meta priority set 0
    meta priority set {family} saddr map @device{version}
    meta priority 0 meta priority set numgen inc mod {devices} offset {first}
    update @device{version} {{ {family} saddr : meta priority }}
  }}"""
        for version, family in ((4, "ip"), (6, "ip6"))
    )


def _arriving(interface: str, queueing: Queueing, devices: int) -> str:
    web = CAKE_TINS[TrafficClass.WEB] if queueing is Queueing.CAKE else leaf_of(TrafficClass.WEB, strangers(devices))
    return f"""  chain arriving {{
    type filter hook ingress device "{interface}" priority -10;
    meta priority set {HANDLE:x}:{web:x}
    meta priority set meta l4proto . ip daddr . th dport map @flow4
    meta priority set meta l4proto . th dport . th sport map @flow6
  }}"""
