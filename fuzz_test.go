package peregrine

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport"
	_ "github.com/peregrine-rpc/peregrine/transport/mem"
	_ "github.com/peregrine-rpc/peregrine/transport/udp"
)

// FuzzLoadConfig reads configuration files. What is accepted is within range, and
// is the same when written out and read again. What is not is an error that
// names the file.
func FuzzLoadConfig(f *testing.F) {
	for _, text := range []string{
		"transport: udp://0.0.0.0:31850\nloops: 2\ncpus: [2, 3]\npoll: adaptive\nfault: loss=0.01,seed=7\n" +
			"cc: {name: none, window: 2097152}\nengine: {slots: 256, credits: 256, keep_alive: 3s}\n",
		"transport: {udp: {address: \"0.0.0.0:31850\", recv_buffer: 8388608, gro: false}}\n",
		"transport: {mem: {address: \"[100::1]:7\", poison: true}}\npoll: block\n",
		"transport: mem://\nengine: {checksum: true, max_message: 1, ack_delay: 1ms, reassembly_memory: 70}\n",
		"transport: {udp: {address: 7}}", "transport: {udp: }", "transport: {udp: {}, mem: {}}", "transport: [a]", "transport: {7: {}}",
		"transport: {nothing: {}}", "transport:", "transport: &a udp://:0\nfault: *a", "transport: {udp: &a {address: *a}}",
		"{transport: mem://, loops: 0}", "{transport: mem://, cpus: [1, 2]}", "{transport: mem://, loops: 1e3}",
		"{transport: mem://, fault: loss=2}", "{transport: mem://, cc: {window: -1}}", "{transport: mem://, engine: {slots: 65536}}",
		"{transport: mem://, engine: {keep_alive: 1}}", "{transport: mem://, nonsense: 1}", "{transport: mem://, cc: swift}",
		"{transport: mem://, cc: {name: dctcp}}", "{transport: mem://, cc: {name: swift, target_delay: 50us}}",
		"{transport: mem://, cc: {name: 7}}", "{transport: mem://, cc: }", "{transport: mem://, transport: udp://:0}",
		"transport: mem://\n---\ntransport: udp://:0", "", "\xff", "- ", "? :", "!!binary a",
	} {
		f.Add(text)
	}
	path := filepath.Join(f.TempDir(), "peregrine.yaml")
	load := func(t *testing.T, text []byte) (*File, error) {
		require.NoError(t, os.WriteFile(path, text, 0o600))
		return LoadConfig(path)
	}
	f.Fuzz(func(t *testing.T, text string) {
		file, err := load(t, []byte(text))
		if err != nil {
			require.ErrorContains(t, err, path)
			return
		}
		require.NoError(t, file.Engine.Check())
		require.NoError(t, file.options().check())
		written, err := yaml.Marshal(keysOf(t, file))
		require.NoError(t, err)
		again, err := load(t, written)
		require.NoError(t, err, "%s", written)
		file.CC.factory, again.CC.factory = nil, nil // functions cannot be compared
		require.Equal(t, file.Transport, again.Transport)
		require.Equal(t, *file, *again)
	})
}

// keysOf is what stands in a file that means f.
func keysOf(t *testing.T, f *File) map[string]any {
	keys := map[string]any{"transport": f.Transport.url, "loops": f.Loops, "poll": f.Poll, "fault": f.Fault, "engine": f.Engine}
	if f.Transport.url == "" {
		keys["transport"] = map[string]any{f.Transport.name: f.Transport.cfg}
	}
	if f.CPUs != nil {
		keys["cpus"] = f.CPUs
	}
	if f.CC.cfg != nil {
		text, err := yaml.Marshal(f.CC.cfg)
		require.NoError(t, err)
		parameters := map[string]any{}
		require.NoError(t, yaml.Unmarshal(text, &parameters))
		parameters["name"] = f.CC.name
		keys["cc"] = parameters
	}
	return keys
}

// FuzzTarget reads what is to be dialled. What is accepted has a port and either a
// name or addresses that packets can be sent to.
func FuzzTarget(f *testing.F) {
	for _, text := range []string{
		"127.0.0.1:1", ":1", "[::]:1", "[fe80::1%25lo]:1", "[fe80::1%1]:domain", "localhost:http", "a.example:0", "[::1]", "::1:1", "[%]:1", "[::%25]:1",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		to, err := parseTarget(t.Context(), text)
		if err != nil {
			return
		}
		require.NotZero(t, to.port)
		require.NotEqual(t, to.name == "", to.addrs == nil)
		for _, a := range to.addrs {
			require.True(t, a.IsValid() && !a.IsUnspecified(), a)
		}
	})
}

// FuzzTransportURL parses the URLs of the real backends. What is accepted is valid,
// and is the same when all its keys are written out.
func FuzzTransportURL(f *testing.F) {
	for _, raw := range []string{
		"udp://0.0.0.0:31850", "udp://[::]:0?recv_buffer=8388608&send_buffer=0x10000&segment=false&gro=0&ecn=T",
		"udp://127.0.0.1:0?mtu=1280", "udp://host:65536", "udp://:0?address=:1", "udp://%41:1", "udp://?address=a%26b%3A1",
		"mem://", "mem://[100::1]:7/?max_payload=64&buffers=8&poison=true", "mem://127.0.0.1:1?buffers=4097", "mem://[fe80::1%25a]:1",
	} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		driver, cfg, err := transport.ParseURL(raw)
		if err != nil {
			require.NotEmpty(t, err.Error())
			return
		}
		require.NoError(t, cfg.(interface{ Validate() error }).Validate())
		again := driver.Name() + "://?" + query(reflect.ValueOf(cfg).Elem()).Encode()
		same, second, err := transport.ParseURL(again)
		require.NoError(t, err, again)
		require.Equal(t, driver, same)
		require.Equal(t, cfg, second, again)
	})
}

// query holds all keys of a configuration.
func query(cfg reflect.Value) url.Values {
	values := url.Values{}
	for i := range cfg.NumField() {
		values.Set(cfg.Type().Field(i).Tag.Get("yaml"), fmt.Sprint(cfg.Field(i).Interface()))
	}
	return values
}
