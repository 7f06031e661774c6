package doctor

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"
)

// sample is a host of testdata: its files, what its drivers say, and what is asked
// of it.
type sample struct {
	Files  map[string]any   `json:"files"`
	Told   map[string]Told  `json:"told"` // by interface
	Probed Probed           `json:"probed"`
	Asked  map[string]Asked `json:"asked"`
}

// Interface implements Probes.
func (s *sample) Interface(name string) Told { return s.Told[name] }

// Backends implements Probes.
func (s *sample) Backends() Probed { return s.Probed }

func (s *sample) tree() fs.FS {
	tree := fstest.MapFS{}
	for name, content := range s.Files {
		tree[name] = &fstest.MapFile{Data: []byte(fmt.Sprint(content) + "\n"), Mode: 0o444}
	}
	return tree
}

// collect is the facts of one question.
func (s *sample) collect(t *testing.T, question string) *Facts {
	t.Helper()
	asked, ok := s.Asked[question]
	require.True(t, ok, question)
	facts, err := Collect(s.tree(), s, asked)
	require.NoError(t, err)
	return facts
}

func readSample(t testing.TB, name string) *sample {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".yaml"))
	require.NoError(t, err)
	asJSON, err := yaml.YAMLToJSON(text)
	require.NoError(t, err)
	s := new(sample)
	require.NoError(t, json.Unmarshal(asJSON, s), name)
	return s
}

// sampleNames are all that there are.
func sampleNames(t testing.TB) []string {
	t.Helper()
	found, err := filepath.Glob("testdata/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, found)
	for i, name := range found {
		found[i] = strings.TrimSuffix(filepath.Base(name), ".yaml")
	}
	return found
}

// recorder keeps what is read of a tree.
type recorder struct {
	fs.FS
	files map[string]any
}

func (r *recorder) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(r.FS, name)
	for _, e := range entries {
		switch child := path.Join(name, e.Name()); path.Base(name) {
		case "msi_irqs", "net", "queues", "cpuidle", "iommu_groups":
			r.files[child] = ""
		}
	}
	return entries, err
}

func (r *recorder) Stat(name string) (fs.FileInfo, error) {
	info, err := fs.Stat(r.FS, name)
	if err == nil {
		r.files[name] = ""
	}
	return info, err
}

func (r *recorder) Open(name string) (fs.File, error) {
	if text, err := fs.ReadFile(r.FS, name); err == nil {
		r.files[name] = strings.TrimSpace(string(text))
	}
	return r.FS.Open(name)
}

// capture writes a host as a sample. What is a folder of something else that was
// read goes.
func capture(t *testing.T, files fs.FS, probes Probes, asked Asked, file string) {
	t.Helper()
	r := &recorder{files, map[string]any{}}
	facts, err := Collect(r, probes, asked)
	require.NoError(t, err)
	names := slices.Sorted(maps.Keys(r.files))
	for i, name := range names[:max(0, len(names)-1)] {
		if strings.HasPrefix(names[i+1], name+"/") {
			delete(r.files, name)
		}
	}
	s := sample{Files: r.files, Probed: facts.Probed, Asked: map[string]Asked{"default": asked}}
	if facts.NIC != nil {
		s.Told = map[string]Told{facts.NIC.Name: facts.NIC.Told}
	}
	asJSON, err := json.Marshal(s)
	require.NoError(t, err)
	text, err := yaml.JSONToYAML(asJSON)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, text, 0o644))
}
