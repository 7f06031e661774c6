package service_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/peregrine-rpc/peregrine"
	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/service"
	_ "github.com/peregrine-rpc/peregrine/transport/mem"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patient is for hosts that are busy with something else.
var patient = peregrine.WithConfig(peregrine.Config{KeepAlive: time.Minute, ConnectTimeout: time.Minute})

// client returns a session to a server of its own.
func client(t *testing.T) *peregrine.Session {
	t.Helper()
	server, err := peregrine.Listen("mem://", patient)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	service.Register(server, 2)
	s, err := peregrine.Dial(t.Context(), server.Addr().String(), peregrine.WithTransport("mem://"), patient)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func TestEachMethodAnswersAsDocumented(t *testing.T) {
	t.Parallel()
	s := client(t)
	message := service.Pattern(3, 20_000)

	reply, err := s.Call(t.Context(), service.Echo, message, nil)
	require.NoError(t, err)
	require.True(t, bytes.Equal(message, reply))

	reply, err = s.Call(t.Context(), service.Upload, message, nil)
	require.NoError(t, err)
	require.EqualValues(t, len(message), binary.LittleEndian.Uint64(reply))
	require.Equal(t, message[:8], reply[8:])

	reply, err = s.Call(t.Context(), service.Digest, message, nil)
	require.NoError(t, err)
	require.EqualValues(t, len(message), binary.LittleEndian.Uint64(reply))
	require.EqualValues(t, crc32.Checksum(message, service.Castagnoli), binary.LittleEndian.Uint64(reply[8:]))

	request := binary.LittleEndian.AppendUint64(nil, 20_000)
	request = binary.LittleEndian.AppendUint64(request, 3)
	reply, err = s.Call(t.Context(), service.Download, request, nil)
	require.NoError(t, err)
	require.True(t, bytes.Equal(message, reply))

	reply, err = s.Call(t.Context(), service.Statistics, nil, nil)
	require.NoError(t, err)
	var told service.Server
	require.NoError(t, json.Unmarshal(reply, &told))
	require.Equal(t, 2, told.PinnedTo)
}

func TestDownloadsThatCannotBeAreRefused(t *testing.T) {
	t.Parallel()
	s := client(t)
	for _, request := range [][]byte{
		nil,
		make([]byte, 15),
		binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, service.MaxDownload+1), 0),
		bytes.Repeat([]byte{0xff}, 16),
	} {
		_, err := s.Call(t.Context(), service.Download, request, nil)
		var failed *peregrine.Error
		require.ErrorAs(t, err, &failed)
		require.Equal(t, peregrine.InvalidArgument, failed.Code)
	}
}

func TestAnUploadOfNothingIsAnswered(t *testing.T) {
	t.Parallel()
	reply, err := client(t).Call(t.Context(), service.Upload, nil, nil)
	require.NoError(t, err)
	require.Equal(t, make([]byte, 16), reply)
}
