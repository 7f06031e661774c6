"use strict";

// Text of peers and servers is put in as text, never as markup.

const period = 1000; // ms
const samples = 120; // of each peer's round trip
const trips = new Map(); // by peer
let paused = false;

const $ = (id) => document.getElementById(id);

function element(tag, text, className) {
  const e = document.createElement(tag);
  if (text !== undefined) e.textContent = text;
  if (className) e.className = className;
  return e;
}

function number(n) {
  if (n >= 1e9) return (n / 1e9).toFixed(2) + " G";
  if (n >= 1e6) return (n / 1e6).toFixed(2) + " M";
  if (n >= 1e4) return (n / 1e3).toFixed(1) + " k";
  return n >= 100 || Number.isInteger(n) ? Math.round(n).toString() : n.toFixed(1);
}

function bytes(n) {
  if (n >= 1 << 20) return (n / (1 << 20)).toFixed(1) + " MiB";
  if (n >= 1 << 10) return (n / (1 << 10)).toFixed(1) + " KiB";
  return n + " B";
}

function micros(us) {
  if (us === 0) return "–";
  if (us >= 1e6) return (us / 1e6).toFixed(2) + " s";
  if (us >= 1e3) return (us / 1e3).toFixed(2) + " ms";
  return us.toFixed(us < 10 ? 2 : 1) + " µs";
}

function clock(time) {
  const at = new Date(time);
  return at.toTimeString().slice(0, 8) + "." + String(at.getMilliseconds()).padStart(3, "0");
}

// columns are [title, class, cell of a row]; a cell is text, an element or [text, class].
function table(id, columns, rows, nothing) {
  const head = element("tr");
  for (const [title, className] of columns) head.append(element("th", title, className));
  const all = [head];
  for (const row of rows) {
    const tr = element("tr");
    for (const [, className, cell] of columns) {
      const value = cell(row);
      if (value instanceof Node) {
        const td = element("td", undefined, className);
        td.append(value);
        tr.append(td);
      } else if (Array.isArray(value)) tr.append(element("td", value[0], (className || "") + " " + value[1]));
      else tr.append(element("td", value, className));
    }
    all.push(tr);
  }
  if (rows.length === 0) {
    const tr = element("tr");
    const td = element("td", nothing, "none");
    td.colSpan = columns.length;
    tr.append(td);
    all.push(tr);
  }
  $(id).replaceChildren(...all);
}

function line(values) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", `0 0 ${samples - 1} 20`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  const most = Math.max(...values, 1);
  svg.setAttribute("aria-label", "round trip over time, up to " + micros(most));
  const path = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
  const from = samples - values.length;
  path.setAttribute("points", values.map((v, i) => `${from + i},${19 - (18 * v) / most}`).join(" "));
  svg.append(path);
  return svg;
}

function meter(share) {
  const m = element("meter");
  m.min = 0;
  m.max = 1;
  m.value = Math.min(1, share);
  m.title = (share * 100).toFixed(1) + " %";
  return m;
}

function rates(s) {
  const shown = [
    ["calls/s", number(s.rates.calls)],
    ["requests/s", number(s.rates.requests)],
    ["datagrams/s in", number(s.rates.received)],
    ["datagrams/s out", number(s.rates.sent)],
    ["in", bytes(s.rates["received bytes"]) + "/s"],
    ["out", bytes(s.rates["sent bytes"]) + "/s"],
    ["sent again/s", number(s.rates["sent again"])],
    ["waited for a slot/s", number(s.rates.queued)],
    ["peers", number(s.totals.Peers)],
    ["requests held", number(s.totals.RequestsHeld)],
  ];
  $("rates").replaceChildren(...shown.map(([name, value]) => {
    const div = element("div");
    div.append(element("b", value), element("span", name));
    return div;
  }));
}

function show(s) {
  $("where").textContent = `${s.address} over ${s.backend} · ${clock(s.time)}`;
  $("held").hidden = !s.held;
  rates(s);
  table("methods", [
    ["Method", "", (m) => m.method],
    ["Side", "", (m) => m.side],
    ["Rate", "n", (m) => number(m.per_s) + "/s"],
    ["p50", "n", (m) => micros(m.p50_us)],
    ["p99", "n", (m) => micros(m.p99_us)],
    ["In all", "n", (m) => number(m.total)],
    ["Failed", "", (m) => [Object.entries(m.failed).map(([code, n]) => `${code} ${number(n)}`).join(", "), "bad"]],
  ], s.methods, "Nothing was called, or the endpoint has no WithMetrics.");
  const seen = new Set();
  table("peers", [
    ["Peer", "", (p) => p.address],
    ["We are its", "", (p) => p.side],
    ["Round trip", "n", (p) => micros(p.rtt_us)],
    ["Over two minutes", "", (p) => {
      const key = p.side + p.address;
      seen.add(key);
      const list = trips.get(key) || [];
      list.push(p.rtt_us);
      if (list.length > samples) list.shift();
      trips.set(key, list);
      return line(list);
    }],
    ["In flight", "n", (p) => bytes(p.in_flight)],
    ["Window", "n", (p) => bytes(p.window)],
    ["MTU", "n", (p) => String(p.mtu)],
    ["Sessions", "n", (p) => String(p.sessions)],
    ["Requests", "n", (p) => String(p.requests)],
    ["Wait for a slot", "n", (p) => String(p.queued)],
  ], s.peers, "Nobody is connected.");
  for (const key of trips.keys()) if (!seen.has(key)) trips.delete(key);
  if (s.more_peers > 0) $("peers").append(element("caption", `and ${s.more_peers} more`));
  table("loops", [
    ["Loop", "", (l) => String(s.loops.indexOf(l))],
    ["Busy", "", (l) => meter(l.busy)],
    ["Turns", "n", (l) => number(l.turns_per_s) + "/s"],
    ["Longest", "n", (l) => (l.longest_us >= 1000 ? [micros(l.longest_us), "bad"] : micros(l.longest_us))],
    ["in method", "", (l) => l.longest_method],
    ["≥ 1 ms", "n", (l) => number(l.long_turns)],
  ], s.loops, "No loop answers.");
  const t = s.totals;
  const drops = [
    ["messages sent again", t.Retransmits], ["packets lost", t.LostPackets], ["of them only late", t.SpuriousRetransmits],
    ["probes in silence", t.ProbeTimeouts], ["malformed", t.RxMalformed], ["damaged", t.RxChecksum], ["of no connection", t.RxUnknown],
    ["duplicate packets", t.RxDuplicate], ["of ended requests", t.RxStale], ["receive queue full", t.Transport.RxOverflow],
    ["too large to send", t.Transport.TxTooLarge], ["refused by the host", t.Transport.TxRefused],
    ["neighbour not known", t.Transport.TxUnresolved], ["requests refused", t.RequestsRefused], ["peers given up", t.PeersFailed],
    ["handlers panicked", t.HandlersPanicked],
  ].filter(([, n]) => n > 0);
  table("drops", [["What", "", (d) => d[0]], ["In all", "n", (d) => number(d[1])]], drops, "Nothing.");
  table("calls", [
    ["Ended", "", (c) => clock(c.at)],
    ["Call", "", (c) => c.id],
    ["Side", "", (c) => c.side],
    ["Method", "", (c) => c.method],
    ["Took", "n", (c) => micros(c.took_us)],
    ["of it for a slot", "n", (c) => micros(c.waited_us)],
    ["Status", "", (c) => [c.status, c.status === "OK" ? "" : "bad"]],
  ], s.calls, "None failed or took a millisecond yet, or the endpoint has no flight recorder.");
  table("events", [["At", "", (e) => clock(e.at)], ["What", "", (e) => e.text]], s.events, "None yet, or the endpoint has no flight recorder.");
}

async function tick() {
  if (!paused && !document.hidden) {
    try {
      const answer = await fetch("state", { cache: "no-store" });
      if (!answer.ok) throw new Error(await answer.text());
      show(await answer.json());
    } catch (e) {
      $("where").textContent = "no answer: " + e.message;
    }
  }
  setTimeout(tick, period);
}

$("pause").addEventListener("click", () => {
  paused = !paused;
  $("pause").textContent = paused ? "Go on" : "Pause";
  $("pause").setAttribute("aria-pressed", String(paused));
});

tick();
