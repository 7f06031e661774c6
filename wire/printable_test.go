package wire

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestTextIsSentAsUTF8AndCutBetweenCharacters(t *testing.T) {
	t.Parallel()
	require.Equal(t, "short", Sendable("short", 5))
	require.Equal(t, "€€", Sendable("€€€", 6))
	require.Equal(t, "€€", Sendable("€€€", 8))
	require.Equal(t, "€€€", Sendable("€€€", 9))
	require.Equal(t, "", Sendable("€", 2))
	require.Equal(t, "a\uFFFDb", Sendable("a\xFFb", 10))
	var body [3 + MaxReason]byte
	n := PutReason(body[:], 14, strings.Repeat("a", MaxReason-1)+"ß")
	_, reason, err := ParseReason(body[:n])
	require.NoError(t, err)
	require.Equal(t, strings.Repeat("a", MaxReason-1), string(reason))
}

func TestSendableTextIsAsLongAsItMayBe(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(draw *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) })).Draw(draw, "text")
		most := rapid.IntRange(0, 100).Draw(draw, "most")
		sent := Sendable(text, most)
		require.True(draw, utf8.ValidString(sent))
		require.LessOrEqual(draw, len(sent), most)
		whole := strings.ToValidUTF8(text, "\uFFFD")
		require.True(draw, strings.HasPrefix(whole, sent))
		if len(whole) > len(sent) {
			_, next := utf8.DecodeRuneInString(whole[len(sent):])
			require.Greater(draw, len(sent)+next, most, "one more character had room")
		}
	})
}
