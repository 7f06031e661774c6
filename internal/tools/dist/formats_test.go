package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// self is this test as the program of a release.
func self(t *testing.T) (release, program) {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return release{version: "1.2.3~rc1+dirty", made: time.Unix(1_800_000_000, 0).UTC()}, program{"amd64", path}
}

func TestAnImageIsNothingButTheProgramAndHasNoRoot(t *testing.T) {
	t.Parallel()
	r, p := self(t)
	var file bytes.Buffer
	if err := writeImage(r, p, &file); err != nil {
		t.Fatal(err)
	}
	image, err := tarball.Image(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(file.Bytes())), nil }, nil)
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if c := config.Config; c.User != "65532:65532" || !slices.Equal(c.Entrypoint, []string{"/usr/bin/peregrine"}) || config.Architecture != "amd64" {
		t.Errorf("%+v", config)
	}
	if layers, err := image.Layers(); err != nil || len(layers) != 1 {
		t.Errorf("%d layers, %v", len(layers), err)
	}
}

func TestTheListOfPartsNamesModulesWithTheirSums(t *testing.T) {
	t.Parallel()
	r, p := self(t)
	var file bytes.Buffer
	if err := writeParts(r, p, &file); err != nil {
		t.Fatal(err)
	}
	var parts struct {
		Components []struct {
			Name   string
			Hashes []struct{ Content string }
		}
	}
	if err := json.Unmarshal(file.Bytes(), &parts); err != nil {
		t.Fatal(err)
	}
	for _, c := range parts.Components {
		if c.Name == "github.com/goreleaser/nfpm/v2" && len(c.Hashes) > 0 {
			return
		}
	}
	t.Errorf("nfpm, of which this test is made, is not in %s", &file)
}
