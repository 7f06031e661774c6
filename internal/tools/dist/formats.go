package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/CycloneDX/cyclonedx-gomod/pkg/generate/bin"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/goreleaser/nfpm/v2"
	_ "github.com/goreleaser/nfpm/v2/deb" // the format
	"github.com/goreleaser/nfpm/v2/files"
	"github.com/rs/zerolog"
)

const (
	summary = "Fast RPC over UDP, io_uring, AF_XDP: server, load generator, doctor"
	source  = "https://github.com/peregrine-rpc/peregrine"
)

// writePackage writes a Debian package. The server does not start by itself: who may call it is for the user to say.
func writePackage(r release, p program, w io.Writer) error {
	contents := files.Contents{{Source: p.path, Destination: "/usr/bin/peregrine", FileInfo: &files.ContentFileInfo{Mode: 0o755, MTime: r.made}}}
	for _, t := range r.texts {
		kind := files.TypeFile
		if t.settings {
			kind = files.TypeConfigNoReplace
		}
		contents = append(contents, &files.Content{
			Source: t.content, Destination: t.path, Type: kind, FileInfo: &files.ContentFileInfo{Mode: 0o644, MTime: r.made},
		})
	}
	info := nfpm.WithDefaults(&nfpm.Info{
		Name: "peregrine", Arch: p.arch, Platform: "linux", Version: r.version, VersionSchema: "none", MTime: r.made,
		Section: "net", Priority: "optional", Maintainer: "Peregrine <peregrine-rpc@users.noreply.github.com>", Homepage: source, License: "Apache-2.0",
		Description: summary, DisableGlobbing: true,
		Overridables: nfpm.Overridables{
			Contents: contents,
			Scripts: nfpm.Scripts{
				PostInstall: filepath.Join(r.scripts, "postinst"),
				PreRemove:   filepath.Join(r.scripts, "prerm"),
				PostRemove:  filepath.Join(r.scripts, "postrm"),
			},
		},
	})
	if err := nfpm.PrepareForPackager(info, "deb"); err != nil {
		return err
	}
	packager, err := nfpm.Get("deb")
	if err != nil {
		return err
	}
	return packager.Package(info, w)
}

// writeArchive writes the program and its texts, for systems that have no packages of ours.
func writeArchive(r release, p program, w io.Writer) error {
	packed := gzip.NewWriter(w)
	archive := tar.NewWriter(packed)
	err := r.add(archive, "peregrine", p.path, 0o755)
	for _, t := range r.texts {
		err = errors.Join(err, r.add(archive, strings.TrimPrefix(t.path, "/"), t.content, 0o644))
	}
	return errors.Join(err, archive.Close(), packed.Close())
}

// add adds a file to an archive.
func (r release) add(archive *tar.Writer, name, content string, mode int64) error {
	data, err := os.ReadFile(content)
	if err != nil {
		return err
	}
	err = archive.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: int64(len(data)), ModTime: r.made})
	if err == nil {
		_, err = archive.Write(data)
	}
	return err
}

// writeImage writes a container image of nothing but the program, as docker load and podman load read it. It listens on all
// addresses, since a container has its own.
func writeImage(r release, p program, w io.Writer) error {
	var layer bytes.Buffer
	archive := tar.NewWriter(&layer)
	err := errors.Join(r.add(archive, "usr/bin/peregrine", p.path, 0o755), archive.Close())
	if err != nil {
		return err
	}
	content, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layer.Bytes())), nil })
	if err != nil {
		return err
	}
	image, err := mutate.AppendLayers(empty.Image, content)
	if err != nil {
		return err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Created = "linux", p.arch, v1.Time{Time: r.made}
	config.History = []v1.History{{Created: v1.Time{Time: r.made}, CreatedBy: "peregrine's dist"}}
	config.Config = v1.Config{
		Entrypoint: []string{"/usr/bin/peregrine"}, Cmd: []string{"serve", "udp://0.0.0.0:31850", "--plain"}, User: "65532:65532",
		ExposedPorts: map[string]struct{}{"31850/udp": {}},
		Labels: map[string]string{
			"org.opencontainers.image.title": "peregrine", "org.opencontainers.image.description": summary,
			"org.opencontainers.image.source": source, "org.opencontainers.image.version": r.version,
			"org.opencontainers.image.licenses": "Apache-2.0",
		},
	}
	if image, err = mutate.ConfigFile(image, config); err != nil {
		return err
	}
	tag, err := name.NewTag("peregrine:" + strings.NewReplacer("~", "-", "+", "-").Replace(r.version) + "-" + p.arch)
	if err != nil {
		return err
	}
	return tarball.Write(tag, image, w)
}

// writeParts writes what modules the program is made of, in CycloneDX's form.
func writeParts(_ release, p program, w io.Writer) error {
	generator, err := bin.NewGenerator(p.path, bin.WithIncludeStdlib(true), bin.WithLogger(zerolog.Nop()))
	if err != nil {
		return err
	}
	parts, err := generator.Generate()
	if err != nil {
		return err
	}
	return cdx.NewBOMEncoder(w, cdx.BOMFileFormatJSON).SetPretty(true).Encode(parts)
}

// compress writes a file beside itself, packed as manual pages are.
func compress(file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return writeFile(file+".gz", func(w io.Writer) error {
		packed, err := gzip.NewWriterLevel(w, gzip.BestCompression)
		if err != nil {
			return err
		}
		packed.Name, packed.ModTime = filepath.Base(file), time.Time{}
		_, err = packed.Write(data)
		return errors.Join(err, packed.Close())
	})
}
