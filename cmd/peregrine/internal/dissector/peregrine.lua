-- Wireshark's view of Peregrine: every field of docs/wire.md, which this follows section by section.
-- Requests and responses are linked, and what was sent again, came late or is missing is marked, as far as the
-- capture shows it.

local proto = Proto("peregrine", "Peregrine RPC")

-- 2. Datagrams

local types = {
	[0] = "Data", "Ack", "Hello", "Retry", "Accept", "Refuse", "Reset", "Close", "PathChallenge", "PathResponse",
	"Crypto", "PostCrypto",
}
local DATA, ACK, HELLO, RETRY, ACCEPT, REFUSE, RESET, CLOSE, CHALLENGE, RESPONSE = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9
local CRYPTO, POSTCRYPTO = 10, 11

local kinds = {
	"Request", "Response", "Cancel", "CloseSession", "Ping",
	"StreamHeader", "StreamData", "StreamEnd", "StreamWindow", "StreamReset",
}
local REQUEST, REPLY, CANCEL, CLOSESESSION, PING = 1, 2, 3, 4, 5
local STREAMHEADER, STREAMDATA, STREAMEND, STREAMWINDOW, STREAMRESET = 6, 7, 8, 9, 10

local codes = {
	[0] = "OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound", "AlreadyExists",
	"PermissionDenied", "ResourceExhausted", "FailedPrecondition", "Aborted", "OutOfRange", "Unimplemented", "Internal",
	"Unavailable", "DataLoss", "Unauthenticated",
}

local f = {
	stream = ProtoField.uint32("peregrine.stream", "Connection in this capture", base.DEC),

	magic = ProtoField.uint8("peregrine.magic", "Magic", base.HEX),
	version = ProtoField.uint8("peregrine.version", "Version", base.DEC, nil, 0xF0),
	type = ProtoField.uint8("peregrine.type", "Type", base.DEC, types, 0x0F),
	flags = ProtoField.uint8("peregrine.flags", "Flags", base.HEX),
	has_checksum = ProtoField.bool("peregrine.flags.checksum", "CHECKSUM", 8, nil, 0x01),
	ack_now = ProtoField.bool("peregrine.flags.ack_now", "ACK_NOW", 8, nil, 0x02),
	sealed_flag = ProtoField.bool("peregrine.flags.sealed", "SEALED", 8, nil, 0x04),
	phase = ProtoField.bool("peregrine.flags.phase", "PHASE", 8, nil, 0x08),
	sealed = ProtoField.bytes("peregrine.sealed", "Sealed"),
	have = ProtoField.uint64("peregrine.crypto.have", "Pieces received", base.HEX),
	piece = ProtoField.uint8("peregrine.crypto.piece", "Piece", base.DEC),
	piece_ends = ProtoField.bool("peregrine.crypto.ends", "ENDS", 8, nil, 0x01),
	piece_failed = ProtoField.bool("peregrine.crypto.failed", "FAILED", 8, nil, 0x02),
	piece_data = ProtoField.bytes("peregrine.crypto.data", "What the handshake says"),
	words = ProtoField.uint8("peregrine.words", "Words of the acknowledgement bitmap", base.DEC),
	connection = ProtoField.uint32("peregrine.connection", "Connection (the receiver's index)", base.DEC),
	token = ProtoField.uint32("peregrine.token", "Token (the receiver's)", base.HEX),
	number = ProtoField.uint32("peregrine.number", "Packet number (low 32 bits)", base.DEC),
	checksum = ProtoField.uint32("peregrine.checksum", "CRC-32C", base.HEX),
	checksum_good = ProtoField.bool("peregrine.checksum.good", "The checksum is right"),

	largest = ProtoField.uint32("peregrine.ack.largest", "Largest packet number received (low 32 bits)", base.DEC),
	delay = ProtoField.uint16("peregrine.ack.delay", "Delay of the acknowledgement (µs)", base.DEC),
	arrival = ProtoField.uint32("peregrine.ack.arrival", "Arrival of the largest, by the receiver's clock (µs)", base.DEC),
	ce = ProtoField.uint16("peregrine.ack.ce", "Packets marked CE so far", base.DEC),
	bitmap = ProtoField.uint64("peregrine.ack.bitmap", "Bitmap", base.HEX),
	ranges = ProtoField.string("peregrine.ack.ranges", "Received"),

	kind = ProtoField.uint8("peregrine.kind", "Kind", base.DEC, kinds, 0x0F),
	fragment = ProtoField.bool("peregrine.fragment", "FRAGMENT", 8, nil, 0x10),
	has_deadline = ProtoField.bool("peregrine.has_deadline", "DEADLINE", 8, nil, 0x20),
	has_trace = ProtoField.bool("peregrine.has_trace", "TRACE", 8, nil, 0x40),
	code = ProtoField.uint8("peregrine.code", "Code", base.DEC, codes, 0x7F),
	not_executed = ProtoField.bool("peregrine.not_executed", "Not executed", 8, nil, 0x80),
	length = ProtoField.uint16("peregrine.length", "Length", base.DEC),
	session = ProtoField.uint16("peregrine.session", "Session", base.DEC),
	generation = ProtoField.uint16("peregrine.generation", "Generation", base.DEC),
	slot = ProtoField.uint16("peregrine.slot", "Slot", base.DEC),
	method = ProtoField.uint16("peregrine.method", "Method", base.DEC),
	sequence = ProtoField.uint32("peregrine.sequence", "Sequence", base.DEC),
	stream_index = ProtoField.uint16("peregrine.stream.index", "Stream of the session", base.DEC),
	stream_use = ProtoField.uint16("peregrine.stream.use", "Use of that index", base.DEC),
	stream_place = ProtoField.uint32("peregrine.stream.place", "Place in the stream", base.DEC),
	stream_limit = ProtoField.uint32("peregrine.stream.limit", "Messages may begin before place", base.DEC),
	deadline = ProtoField.uint32("peregrine.deadline", "Deadline", base.HEX),
	deadline_us = ProtoField.uint64("peregrine.deadline.us", "Time left (µs)", base.DEC),
	total = ProtoField.uint32("peregrine.total", "Total length", base.DEC),
	index = ProtoField.uint32("peregrine.index", "Index", base.DEC),
	stride = ProtoField.uint16("peregrine.stride", "Stride", base.DEC),
	trace_id = ProtoField.bytes("peregrine.trace.id", "Trace"),
	span_id = ProtoField.bytes("peregrine.trace.span", "Span of the caller"),
	trace_flags = ProtoField.uint8("peregrine.trace.flags", "Trace flags", base.HEX),
	recorded = ProtoField.bool("peregrine.trace.recorded", "The caller records", 8, nil, 0x01),
	body = ProtoField.bytes("peregrine.body", "Body"),
	text = ProtoField.string("peregrine.text", "Text", base.UNICODE),

	own_connection = ProtoField.uint32("peregrine.own.connection", "Connection (the sender's index)", base.DEC),
	own_token = ProtoField.uint32("peregrine.own.token", "Token (the sender's)", base.HEX),
	max_datagram = ProtoField.uint32("peregrine.params.max_datagram", "max_datagram (bytes)", base.DEC),
	credits = ProtoField.uint16("peregrine.params.credits", "credits (packets)", base.DEC),
	slots = ProtoField.uint16("peregrine.params.slots", "slots", base.DEC),
	sessions = ProtoField.uint16("peregrine.params.sessions", "sessions", base.DEC),
	ack_delay = ProtoField.uint16("peregrine.params.ack_delay", "ack_delay (µs)", base.DEC),
	max_message = ProtoField.uint32("peregrine.params.max_message", "max_message (bytes)", base.DEC),
	receive_window = ProtoField.uint32("peregrine.params.receive_window", "receive_window (bytes)", base.DEC),
	keep_alive = ProtoField.uint32("peregrine.params.keep_alive", "keep_alive (ms)", base.DEC),
	features = ProtoField.uint32("peregrine.params.features", "features", base.HEX),
	streams = ProtoField.uint16("peregrine.params.streams", "streams", base.DEC),
	stream_window = ProtoField.uint16("peregrine.params.stream_window", "stream_window (KiB)", base.DEC),
	cookie = ProtoField.bytes("peregrine.cookie", "Cookie"),
	reason = ProtoField.string("peregrine.reason", "Reason", base.UNICODE),
	reset_connection = ProtoField.uint32("peregrine.reset.connection", "Connection of the datagram answered", base.DEC),
	reset_token = ProtoField.uint32("peregrine.reset.token", "Token of the datagram answered", base.HEX),
	reset_number = ProtoField.uint32("peregrine.reset.number", "Number of the datagram answered", base.DEC),
	path = ProtoField.bytes("peregrine.path", "Challenge"),
	padding = ProtoField.bytes("peregrine.padding", "Padding"),

	request_in = ProtoField.framenum("peregrine.request_in", "Request in", base.NONE, frametype.REQUEST),
	response_in = ProtoField.framenum("peregrine.response_in", "Response in", base.NONE, frametype.RESPONSE),
	time = ProtoField.relative_time("peregrine.time", "From the request to its response"),
	first_in = ProtoField.framenum("peregrine.analysis.first_in", "Sent first in", base.NONE, frametype.RETRANS_PREV),
	missing = ProtoField.uint32("peregrine.analysis.missing", "Packets missing before this one", base.DEC),
}
for _, field in pairs(f) do
	table.insert(proto.fields, field)
end

local e = {
	cut = ProtoExpert.new("peregrine.cut", "Cut by the capture, which has the beginning only", expert.group.UNDECODED, expert.severity.NOTE),
	malformed = ProtoExpert.new("peregrine.malformed", "Not as the protocol demands", expert.group.MALFORMED, expert.severity.ERROR),
	version = ProtoExpert.new("peregrine.other_version", "Another version of the protocol", expert.group.UNDECODED, expert.severity.WARN),
	checksum = ProtoExpert.new("peregrine.checksum.bad", "The checksum is wrong", expert.group.CHECKSUM, expert.severity.ERROR),
	again = ProtoExpert.new("peregrine.analysis.retransmission", "Sent again", expert.group.SEQUENCE, expert.severity.NOTE),
	missing = ProtoExpert.new("peregrine.analysis.lost", "Packets before this one are missing (lost, late, or not captured)", expert.group.SEQUENCE, expert.severity.WARN),
	late = ProtoExpert.new("peregrine.analysis.late", "A packet that was overtaken", expert.group.SEQUENCE, expert.severity.NOTE),
	duplicate = ProtoExpert.new("peregrine.analysis.duplicate", "A packet that was here before", expert.group.SEQUENCE, expert.severity.NOTE),
	failed = ProtoExpert.new("peregrine.failed", "The call failed", expert.group.RESPONSE_CODE, expert.severity.NOTE),
}
for _, x in pairs(e) do
	table.insert(proto.experts, x)
end

-- 2.4 Checksum

local xor = bit and bit.bxor or bit32 and bit32.bxor or load("return function(a, b) return a ~ b end")()

local crc_of = {}
for i = 0, 255 do
	local c = i
	for _ = 1, 8 do
		local low = c % 2
		c = (c - low) / 2
		if low == 1 then
			c = xor(c, 0x82F63B78) % 4294967296
		end
	end
	crc_of[i] = c
end

-- crc32c is the checksum of a datagram, which leaves out the bytes where it stands.
local function crc32c(tvb)
	local raw = tvb:raw(0, 16) .. tvb:raw(20)
	local c = 0xFFFFFFFF
	for i = 1, #raw do
		local low = c % 256
		c = xor((c - low) / 256, crc_of[xor(low, raw:byte(i)) % 256]) % 4294967296
	end
	return 4294967295 - c
end

-- What the capture has shown. Wireshark may dissect a packet more than once, and in any order after the first time:
-- what is remembered is written on the first visit only, by frame.

local streams, stream_count -- number of a pair of ends
local epochs                -- how often a pair has connected
local highest, seen         -- packet numbers by direction
local sent                  -- first frame of a message or fragment, by direction and identity
local calls                 -- frames and times of request and response, by the identity of both
local noted                 -- per frame: what analysis found

function proto.init()
	streams, stream_count, epochs, highest, seen, sent, calls, noted = {}, 0, {}, {}, {}, {}, {}, {}
end

local function ends(pinfo)
	return tostring(pinfo.src) .. " " .. pinfo.src_port, tostring(pinfo.dst) .. " " .. pinfo.dst_port
end

local function stream_of(from, to)
	local key = from < to and from .. " " .. to or to .. " " .. from
	if not streams[key] then
		streams[key], epochs[stream_count] = stream_count, 0
		stream_count = stream_count + 1
	end
	return streams[key]
end

-- note_packet judges a packet number, on the first visit. Numbers of 2^32 and more are not told from those that
-- begin anew.
local function note_packet(found, way, number)
	local top = highest[way]
	seen[way] = seen[way] or {}
	if seen[way][number] then
		found.duplicate = true
	elseif top and number < top then
		found.late = true
	elseif top and number > top + 1 then
		found.missing = number - top - 1
	end
	seen[way][number] = true
	highest[way] = top and math.max(top, number) or number
end

-- ways names the two directions of the present connection of a pair.
local function ways(stream, from, to)
	local name = stream .. "." .. epochs[stream] .. " "
	return name .. from, name .. to
end

-- note_accept has the counting begin anew with a new connection. Accept may be repeated, but not after Data.
local function note_accept(stream, way, back)
	if highest[way] or highest[back] then
		epochs[stream] = epochs[stream] + 1
	end
end

-- 2.5 Acknowledgement block

local function ranges(tvb, largest, words)
	local list, last, first = {}, nil, nil
	local function close()
		if last then
			table.insert(list, 1, first == last and tostring(last) or first .. "-" .. last)
			last = nil
		end
	end
	for back = 0, 64 * words - 1 do
		local b = 63 - back % 64
		local word = (back - back % 64) / 64
		if tvb(word * 8 + (b - b % 8) / 8, 1):bitfield(7 - b % 8, 1) == 1 and back <= largest then
			last = last or largest - back
			first = largest - back
		else
			close()
		end
	end
	close()
	return table.concat(list, ", ")
end

local function acks(tvb, tree, words)
	local size = 8 + 8 * words
	local largest = tvb(0, 4):le_uint()
	local text = ranges(tvb(8), largest, words)
	local block = tree:add(proto, tvb(0, size), "Acknowledgements: " .. text)
	block:add_le(f.largest, tvb(0, 4))
	block:add_le(f.delay, tvb(4, 2))
	block:add_le(f.ce, tvb(6, 2))
	for i = 0, words - 1 do
		block:add_le(f.bitmap, tvb(8 + 8 * i, 8))
	end
	block:add(f.ranges, tvb(8, 8 * words), text):set_generated()
	return size, "acknowledges " .. text
end

-- 3. Messages

local function call_of(way, m)
	return string.format("%s %d/%d/%d/%d", way, m.session, m.generation, m.slot, m.sequence)
end

-- note_message remembers a message, on the first visit.
local function note_message(found, at, pinfo, way, back, m)
	if m.kind ~= REQUEST and m.kind ~= REPLY then
		return
	end
	local call = call_of(m.kind == REQUEST and way or back, m)
	local piece = call .. " " .. m.kind .. " " .. (m.index or 0) .. "/" .. (m.stride or 0)
	if sent[piece] then
		found.again[at] = sent[piece]
	else
		sent[piece] = pinfo.number
	end
	calls[call] = calls[call] or {}
	local c = calls[call]
	if m.kind == REQUEST then
		c.request, c.asked = c.request or pinfo.number, c.asked or pinfo.abs_ts
	else
		c.response, c.answered = c.response or pinfo.number, c.answered or pinfo.abs_ts
	end
	found.call[at] = call
end

-- cut is whether the capture has only the beginning of the datagram that is shown.
local cut = false

-- short says why a datagram shows no more: the capture has cut it, or else it is malformed.
local function short(tree, why)
	if cut then
		return "cut by the capture"
	end
	tree:add_proto_expert_info(e.malformed, "length: " .. why)
	return "malformed: length: " .. why
end

-- message shows the message at offset, and returns what follows it; nil if it does not decode.
local function message(tvb, offset, tree, found, pinfo, way, back)
	local rest = tvb:len() - offset
	if rest < 16 then
		return nil, short(tree, "a message needs 16 bytes")
	end
	local b = tvb(offset)
	local m = {
		kind = b(0, 1):bitfield(4, 4), fragment = b(0, 1):bitfield(3, 1) == 1, deadline = b(0, 1):bitfield(2, 1) == 1,
		trace = b(0, 1):bitfield(1, 1) == 1,
		code = b(1, 1):uint() % 128, length = b(2, 2):le_uint(),
		session = b(4, 2):le_uint(), generation = b(6, 2):le_uint(), slot = b(8, 2):le_uint(),
		method = b(10, 2):le_uint(), sequence = b(12, 4):le_uint(),
	}
	local size = 16 + (m.deadline and 4 or 0) + (m.fragment and 12 or 0) + (m.trace and 25 or 0)
	local t = tree:add(proto, b(0, math.min(size + m.length, rest)), kinds[m.kind] or "Message")
	local function wrong(why)
		t:add_proto_expert_info(e.malformed, why)
	end
	t:add(f.kind, b(0, 1))
	if not kinds[m.kind] then
		wrong("type: no such kind of message")
		return nil
	end
	t:add(f.fragment, b(0, 1))
	t:add(f.has_deadline, b(0, 1))
	t:add(f.has_trace, b(0, 1))
	local whole = m.kind > REPLY and (m.kind < STREAMHEADER or m.kind > STREAMEND)
	local opens = m.kind == REQUEST or m.kind == STREAMHEADER
	if b(0, 1):bitfield(0, 1) ~= 0 or (m.deadline or m.trace) and not opens or m.fragment and whole then
		wrong("type: options that this kind does not have")
		return nil
	end
	if m.kind == REPLY or m.kind == STREAMEND or m.kind == STREAMRESET then
		t:add(f.code, b(1, 1))
		t:add(f.not_executed, b(1, 1))
	end
	t:add_le(f.length, b(2, 2))
	if m.kind ~= PING then
		t:add_le(f.session, b(4, 2))
		t:add_le(f.generation, b(6, 2))
		t:append_text(string.format(", session %d/%d", m.session, m.generation))
	end
	if m.kind <= CANCEL then
		t:add_le(f.slot, b(8, 2))
		if m.kind == REQUEST then
			t:add_le(f.method, b(10, 2))
		end
		t:add_le(f.sequence, b(12, 4))
		t:append_text(string.format(", slot %d, sequence %d", m.slot, m.sequence))
	end
	if m.kind >= STREAMHEADER then
		t:add_le(f.stream_index, b(8, 2))
		t:add_le(f.stream_use, b(10, 2))
		t:append_text(string.format(", stream %d/%d", m.slot, m.method))
		if m.kind == STREAMHEADER then
			t:add_le(f.method, b(12, 2))
		elseif m.kind == STREAMWINDOW then
			t:add_le(f.stream_limit, b(12, 4))
			t:append_text(string.format(", before place %d", m.sequence))
		elseif m.kind ~= STREAMRESET then
			t:add_le(f.stream_place, b(12, 4))
			t:append_text(string.format(", place %d", m.sequence))
		end
	end
	if rest < size then
		return nil, short(t, "the options end behind the datagram")
	end
	local at = 16
	if m.deadline then
		local left = b(16, 4):le_uint()
		t:add_le(f.deadline, b(16, 4))
		if left >= 2147483648 then
			left = UInt64(left - 2147483648) * UInt64(1000)
		else
			left = UInt64(left)
		end
		t:add(f.deadline_us, b(16, 4), left):set_generated()
		at = 20
	end
	if m.fragment then
		m.total, m.index, m.stride = b(at, 4):le_uint(), b(at + 4, 4):le_uint(), b(at + 8, 2):le_uint()
		t:add_le(f.total, b(at, 4))
		t:add_le(f.index, b(at + 4, 4))
		t:add_le(f.stride, b(at + 8, 2))
		local from_byte = m.index * m.stride
		t:append_text(string.format(", bytes %d-%d of %d", from_byte, from_byte + m.length - 1, m.total))
		if m.stride < 512 or m.total <= m.stride or from_byte >= m.total or m.length ~= math.min(m.stride, m.total - from_byte) then
			wrong("length: a fragment that does not fit its message")
			return nil
		end
	end
	if m.trace then
		at = size - 25
		t:add(f.trace_id, b(at, 16))
		t:add(f.span_id, b(at + 16, 8))
		t:add(f.trace_flags, b(at + 24, 1)):add(f.recorded, b(at + 24, 1))
	end
	if rest < size + m.length and not cut then
		return nil, short(t, "the body ends behind the datagram")
	end
	local body = math.min(m.length, rest - size)
	if body > 0 then
		t:add(f.body, b(size, body))
		if m.kind == REPLY and m.code ~= 0 and not m.fragment then
			t:add(f.text, b(size, body))
		end
	end

	if not pinfo.visited then
		note_message(found, offset, pinfo, way, back, m)
	end
	if m.kind == REPLY and m.code ~= 0 then
		t:add_proto_expert_info(e.failed, (codes[m.code] or "a code that is none"))
	end
	if found.again[offset] then
		t:add(f.first_in, found.again[offset]):set_generated()
		t:add_proto_expert_info(e.again)
		t:append_text(", again")
	end
	local c = found.call[offset] and calls[found.call[offset]]
	if c and m.kind == REQUEST and c.response then
		t:add(f.response_in, c.response):set_generated()
	end
	if c and m.kind == REPLY and c.request then
		t:add(f.request_in, c.request):set_generated()
		local seconds = c.answered - c.asked
		t:add(f.time, NSTime.new(math.floor(seconds), math.floor(seconds % 1 * 1e9 + 0.5))):set_generated()
	end

	local info = kinds[m.kind]
	if m.kind == REQUEST then
		info = info .. " " .. m.method
	elseif m.kind == REPLY and m.code ~= 0 then
		info = info .. " " .. (codes[m.code] or m.code)
	end
	if found.again[offset] then
		info = info .. " again"
	end
	return offset + size + m.length, info
end

local function messages(tvb, offset, tree, found, pinfo, way, back)
	local infos = {}
	while offset and offset < tvb:len() do
		local info
		offset, info = message(tvb, offset, tree, found, pinfo, way, back)
		table.insert(infos, info or "malformed")
	end
	if #infos > 4 then
		return infos[1] .. ", " .. infos[2] .. " and " .. #infos - 2 .. " more"
	end
	return table.concat(infos, ", ")
end

-- 4. Control datagrams

local needs = { [HELLO] = 64, [RETRY] = 24, [ACCEPT] = 40, [REFUSE] = 3, [RESET] = 12, [CLOSE] = 3, [CHALLENGE] = 8, [RESPONSE] = 8,
	[CRYPTO] = 20, [POSTCRYPTO] = 20 }

-- 4.2 Params; wrong says what is below the least.
local function params(b, tree)
	local wrong
	local at = 0
	for _, p in ipairs({
		{ f.max_datagram, 4, 1200, "max_datagram" }, { f.credits, 2, 1, "credits" }, { f.slots, 2, 1, "slots" },
		{ f.sessions, 2, 1, "sessions" }, { f.ack_delay, 2, 0 }, { f.max_message, 4, 0 },
		{ f.receive_window, 4, 0 }, { f.keep_alive, 4, 1, "keep_alive" }, { f.features, 4, 0 },
		{ f.streams, 2, 0 }, { f.stream_window, 2, b(28, 2):le_uint() > 0 and 1 or 0, "stream_window" },
	}) do
		local range = b(at, p[2])
		tree:add_le(p[1], range)
		if range:le_uint() < p[3] then
			wrong = wrong or "params: " .. p[4] .. " is below " .. p[3]
		end
		at = at + p[2]
	end
	return wrong
end

local function control(tvb, offset, tree, kind)
	local rest = tvb:len() - offset
	local function wrong(why)
		tree:add_proto_expert_info(e.malformed, why)
		return "malformed"
	end
	if rest < needs[kind] then
		return short(tree, types[kind] .. " needs " .. needs[kind] .. " bytes behind its header")
	end
	local b = tvb(offset)
	local size, info, bad = needs[kind], "", nil
	if kind == HELLO or kind == ACCEPT then
		tree:add_le(f.own_connection, b(0, 4))
		tree:add_le(f.own_token, b(4, 4))
		bad = params(b(8, 32), tree)
		if kind == HELLO then
			tree:add(f.cookie, b(40, 24))
			if tvb:len() < 1200 and not cut then
				bad = "length: a Hello has 1200 bytes or more"
			end
		end
	elseif kind == RETRY then
		tree:add(f.cookie, b(0, 24))
	elseif kind == REFUSE or kind == CLOSE then
		tree:add(f.code, b(0, 1))
		local length = b(1, 2):le_uint()
		info = codes[b(0, 1):uint()] or "a code that is none"
		if length > 256 then
			return wrong("length: the reason has at most 256 bytes")
		end
		if 3 + length > rest then
			return short(tree, "the reason ends behind the datagram")
		end
		if length > 0 then
			tree:add(f.reason, b(3, length))
		end
		size = 3 + length
	elseif kind == RESET then
		tree:add_le(f.reset_connection, b(0, 4))
		tree:add_le(f.reset_token, b(4, 4))
		tree:add_le(f.reset_number, b(8, 4))
	elseif kind == CRYPTO or kind == POSTCRYPTO then -- 11.1
		tree:add_le(f.own_connection, b(0, 4))
		tree:add_le(f.own_token, b(4, 4))
		tree:add_le(f.have, b(8, 8))
		tree:add(f.piece, b(16, 1))
		tree:add(f.piece_ends, b(17, 1))
		tree:add(f.piece_failed, b(17, 1))
		local length = b(18, 2):le_uint()
		if b(16, 1):uint() > 63 or b(17, 1):bitfield(0, 6) ~= 0 then
			return wrong("type: there is no such piece")
		end
		if length > 1024 then
			return wrong("length: a piece has at most 1024 bytes")
		end
		if 20 + length > rest then
			return short(tree, "the piece ends behind the datagram")
		end
		if length > 0 then
			tree:add(f.piece_data, b(20, length))
		end
		size = 20 + length
	else
		tree:add(f.path, b(0, 8))
	end
	if rest > size then
		tree:add(f.padding, b(size))
	end
	if bad then
		return wrong(bad)
	end
	return info
end

-- 2.1 Header

-- datagram shows one, and returns its summary.
local function datagram(tvb, pinfo, root, found)
	local from, to = ends(pinfo)
	local tree = root:add(proto, tvb())
	local function wrong(why)
		tree:add_proto_expert_info(e.malformed, why)
		return "malformed: " .. why
	end
	if cut then
		tree:add_proto_expert_info(e.cut)
	end
	if tvb:len() < 16 then
		return short(tree, "a header has 16 bytes")
	end
	tree:add(f.magic, tvb(0, 1))
	if tvb(0, 1):uint() ~= 0xF7 then
		return wrong("magic: a datagram begins with 0xF7")
	end
	local version, kind = tvb(1, 1):bitfield(0, 4), tvb(1, 1):bitfield(4, 4)
	tree:add(f.version, tvb(1, 1))
	-- 5.3: Hello and Refuse are alike in all versions.
	if version ~= 1 then
		tree:add_proto_expert_info(e.version)
		if kind ~= HELLO and kind ~= REFUSE then
			return "version " .. version
		end
	end
	tree:add(f.type, tvb(1, 1))
	local flags = tree:add(f.flags, tvb(2, 1))
	flags:add(f.has_checksum, tvb(2, 1))
	flags:add(f.ack_now, tvb(2, 1))
	flags:add(f.sealed_flag, tvb(2, 1))
	flags:add(f.phase, tvb(2, 1))
	local sealed = tvb(2, 1):bitfield(5, 1) == 1
	local words = tvb(3, 1):uint()
	tree:add(f.words, tvb(3, 1))
	tree:add_le(f.connection, tvb(4, 4))
	tree:add_le(f.token, tvb(8, 4))
	if kind == DATA or sealed then
		tree:add_le(f.number, tvb(12, 4))
	end
	local stream = stream_of(from, to)
	local way, back = ways(stream, from, to)
	tree:add(f.stream, stream):set_generated()
	if not types[kind] then
		return wrong("type: no such type of datagram")
	end
	if tvb(2, 1):bitfield(0, 4) ~= 0 then
		return wrong("type: no such flag")
	end
	if sealed or tvb(2, 1):bitfield(4, 1) == 1 then -- 11.2
		if not sealed or tvb(2, 1):bitfield(7, 1) == 1 or kind > ACK and kind < CLOSE then
			return wrong("type: this is not sealed so")
		end
		if words > 8 or kind >= HELLO and words > 0 then
			return wrong("length: this many words are not allowed here")
		end
		if tvb:len() < 32 and not cut then
			return short(tree, "a tag has 16 bytes")
		end
		if tvb:len() > 16 then
			tree:add(f.sealed, tvb(16))
		end
		return types[kind] .. " " .. tvb(12, 4):le_uint() .. ": sealed"
	end
	local offset = 16
	if tvb(2, 1):bitfield(7, 1) == 1 then
		if tvb:len() < 20 then
			return short(tree, "no room for the checksum")
		end
		local item = tree:add_le(f.checksum, tvb(16, 4))
		if not cut then
			local good = tvb(16, 4):le_uint() == crc32c(tvb)
			tree:add(f.checksum_good, good):set_generated()
			if not good then
				item:add_proto_expert_info(e.checksum)
			end
		end
		offset = 20
	end
	if words > 8 or kind >= HELLO and words > 0 then
		return wrong("length: this many words are not allowed here")
	end
	if kind >= HELLO and offset == 16 then
		return wrong("checksum: a control datagram must have one")
	end
	local info = types[kind]
	if words > 0 then
		if tvb:len() < offset + 8 + 8 * words then
			return short(tree, "the acknowledgement block ends behind the datagram")
		end
		local size, text = acks(tvb(offset), tree, words)
		offset = offset + size
		if kind == ACK then
			info = info .. " " .. text
			if tvb:len() >= offset + 4 then
				tree:add_le(f.arrival, tvb(offset, 4))
			end
		end
	end

	if kind == DATA then
		local number = tvb(12, 4):le_uint()
		if not pinfo.visited then
			note_packet(found, way, number)
		end
		if found.missing then
			tree:add(f.missing, found.missing):set_generated()
			tree:add_proto_expert_info(e.missing)
		end
		if found.late then
			tree:add_proto_expert_info(e.late)
		end
		if found.duplicate then
			tree:add_proto_expert_info(e.duplicate)
		end
		info = info .. " " .. number .. ": " .. messages(tvb, offset, tree, found, pinfo, way, back)
	elseif kind >= HELLO then
		if kind == ACCEPT and not pinfo.visited then
			note_accept(stream, way, back)
		end
		info = info .. " " .. control(tvb, offset, tree, kind)
	end
	return info
end

-- Where the sender has segmentation offloaded, a capture on its host shows several datagrams as one packet. They are
-- told apart by their headers, which no message begins like.

local function begins(tvb, offset)
	return tvb:len() >= offset + 16 and tvb(offset, 1):uint() == 0xF7 and tvb(offset + 1, 1):bitfield(0, 4) == 1
end

-- extent is the length of the first datagram.
local function extent(tvb)
	local kind = tvb:len() >= 16 and tvb(1, 1):bitfield(4, 4)
	if kind ~= DATA and kind ~= ACK or tvb(2, 1):bitfield(5, 1) == 1 then
		return tvb:len()
	end
	local words = tvb(3, 1):uint()
	local offset = 16 + 4 * tvb(2, 1):bitfield(7, 1) + (words > 0 and 8 + 8 * words or 0)
	if kind == ACK and (tvb:len() == offset + 4 or begins(tvb, offset + 4)) then
		offset = offset + 4 -- its arrival time
	end
	while offset < tvb:len() and not begins(tvb, offset) do
		if kind == ACK or tvb:len() < offset + 16 then
			return tvb:len()
		end
		local options = tvb(offset, 1)
		offset = offset + 16 + 4 * options:bitfield(2, 1) + 12 * options:bitfield(3, 1) + 25 * options:bitfield(1, 1)
			+ tvb(offset + 2, 2):le_uint()
	end
	return math.min(offset, tvb:len())
end

function proto.dissector(tvb, pinfo, root)
	if tvb:len() == 0 then
		return 0
	end
	pinfo.cols.protocol = "Peregrine"
	local infos = {}
	local offset = 0
	repeat
		local rest = tvb(offset):tvb()
		local size = extent(rest)
		local key = pinfo.number .. "." .. #infos
		noted[key] = noted[key] or { again = {}, call = {} }
		cut = offset + size >= tvb:len() and tvb:reported_len() > tvb:len()
		table.insert(infos, datagram(rest(0, size):tvb(), pinfo, root, noted[key]))
		offset = offset + size
	until offset >= tvb:len()
	pinfo.cols.info = table.concat(infos, " | ")
	return tvb:len()
end


-- Any port: the first two bytes tell, and the length of what each type demands.
local function heuristic(tvb, pinfo, root)
	if tvb:len() < 16 or tvb(0, 1):uint() ~= 0xF7 or tvb(1, 1):bitfield(0, 4) == 0 or tvb(1, 1):bitfield(4, 4) > POSTCRYPTO then
		return false
	end
	proto.dissector(tvb, pinfo, root)
	return true
end

proto:register_heuristic("udp", heuristic)
DissectorTable.get("udp.port"):add_for_decode_as(proto)
