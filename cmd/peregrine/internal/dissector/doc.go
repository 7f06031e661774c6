// Package dissector has what Wireshark and tshark need to read Peregrine: a script in Lua, which knows every field of
// docs/wire.md, links requests with their responses, and marks what was sent again, came late or is missing.
package dissector
