package conform

import (
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// The table of reactions and the conversations say the same of each other.
func TestEveryReactionOfTheDocumentIsAConversation(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../../docs/wire.md")
	require.NoError(t, err)
	type row struct{ section, counter string }
	rows := map[string]row{}
	for _, m := range regexp.MustCompile("(?m)^\\|.*\\| ([0-9.]+) \\|.*\\| `([a-z_]+)` \\| `([a-z0-9-]+)` \\|$").FindAllStringSubmatch(string(text), -1) {
		rows[m[3]] = row{m[1], m[2]}
	}
	conversations, err := Conversations("server", true)
	require.NoError(t, err)
	counted := 0
	for _, c := range conversations {
		if c.Counter != "" {
			require.Equal(t, row{c.Section, c.Counter}, rows[c.Name], c.Name)
			counted++
		}
	}
	require.Len(t, rows, counted)
}

func TestEveryConversationHasItsOwnNameAndEndsInSomethingSeen(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, tests := range []string{"server", "client"} {
		conversations, err := Conversations(tests, true)
		require.NoError(t, err)
		for _, c := range conversations {
			require.False(t, names[c.Name], c.Name)
			names[c.Name] = true
			last := c.Steps[len(c.Steps)-1]
			require.True(t, last.Alive || last.Ended || last.Resume || last.Expect != nil || last.Never != nil, c.Name)
		}
	}
}
