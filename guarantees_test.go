package peregrine

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestEveryGuaranteeNamesTestsThatExist holds docs/guarantees.md and docs/security.md to the code.
func TestEveryGuaranteeNamesTestsThatExist(t *testing.T) {
	t.Parallel()
	existing := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	require.NoError(t, filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, match := range declared.FindAllSubmatch(source, -1) {
			existing[string(match[1])] = true
		}
		return err
	}))
	for _, document := range []string{"docs/guarantees.md", "docs/security.md"} {
		text, err := os.ReadFile(document)
		require.NoError(t, err)
		named := regexp.MustCompile("`((?:Test|Fuzz)\\w+)`").FindAllStringSubmatch(string(text), -1)
		require.Greater(t, len(named), 20)
		for _, match := range named {
			require.True(t, existing[match[1]], "%s names %s, which does not exist", document, match[1])
		}
	}
}
