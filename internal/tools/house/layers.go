package house

import (
	"go/ast"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/tools/go/analysis"
)

const (
	anything = "..."
	xsys     = "golang.org/x/sys/..."
)

// layers is the import table of the architecture: what a folder may import beside the standard library. The first
// entry that covers a folder holds. Names without a dot are folders of this module, "." being its root; "x/..." covers
// x and all below it. Test files are free.
var layers = []layer{
	{"docs/wire", nil},
	{"wire", nil},
	{"cc", []string{"internal/setting"}},
	{"core/packet", []string{"wire", "cc", "transport"}},
	{"core/packet/seal", []string{"core/packet", "wire", "golang.org/x/crypto/chacha20poly1305", xsys}},
	{"core/packet/psk", []string{"core/packet", "core/packet/seal", "wire", "github.com/flynn/noise"}},
	{"core", []string{"core/packet", "wire", "transport"}},
	{"core/scenario", nil},

	{"transport", []string{"internal/nearest", "internal/setting"}},
	{"transport/mem", []string{"transport"}},
	{"transport/pcapng", []string{"transport", "wire", "github.com/gopacket/gopacket/..."}},
	{"transport/sim", []string{"transport"}},
	{"transport/xdp", []string{"transport", "internal/...", xsys, "github.com/cilium/ebpf/...", "github.com/vishvananda/netlink/..."}},
	{"transport/udp", []string{"transport", "internal/...", xsys, "golang.org/x/net/..."}},
	{"transport/...", []string{"transport", "internal/...", xsys}},

	{"internal/udpsock", []string{"transport", "internal/...", xsys}},
	{"internal/netdev", []string{xsys, "github.com/vishvananda/netlink/..."}},
	{"internal/transporttest", []string{"core", "transport", "internal/netns", "github.com/stretchr/testify/...", "go.uber.org/goleak", xsys}},
	{"internal/netns", []string{xsys, "github.com/vishvananda/netlink/..."}},
	{"internal/handshake", []string{"core/packet", "core/packet/seal", "wire"}},
	{"internal/secureflag", []string{"."}},
	{"internal/...", []string{"internal/...", xsys}},
	{"conformance/...", []string{
		"core", "transport", "conformance/internal/...", "github.com/stretchr/testify/...", "go.uber.org/goleak/...",
	}},

	{".", []string{
		"wire", "cc", "core", "core/packet/psk", "transport/...", "internal/...", xsys,
		"go.uber.org/zap/...", "github.com/goccy/go-yaml/...",
	}},

	{"metrics", []string{"."}},
	{"flight", []string{".", "core", "wire"}},
	{"live", []string{".", "core", "metrics", "flight"}},

	{"cmd/...", []string{anything}},
	{"examples/...", []string{anything}},
}

type layer struct {
	folder string
	allow  []string
}

// Layers enforces the import table.
var Layers = &analysis.Analyzer{
	Name: "layers",
	Doc:  "a package imports only what the architecture gives its folder",
	Run:  runLayers,
}

func runLayers(pass *analysis.Pass) (any, error) {
	folder, ok := folderOf(pass.Pkg.Path())
	if !ok {
		return nil, nil
	}
	layer := layerOf(folder)
	for _, file := range sourceFiles(pass) {
		if layer == nil {
			pass.Reportf(file.Name.Pos(), "folder %s has no entry in the import table: add one to internal/tools/house/layers.go", folder)
			continue
		}
		for _, spec := range file.Imports {
			if path := importPath(spec); !isStd(path) && !layer.allows(path) {
				pass.Reportf(spec.Pos(), "%s may not import %s", folder, path)
			}
		}
	}
	return nil, nil
}

func layerOf(folder string) *layer {
	for i := range layers {
		if covers(layers[i].folder, folder) {
			return &layers[i]
		}
	}
	return nil
}

func (l *layer) allows(path string) bool {
	if folder, ok := folderOf(path); ok {
		path = folder
	}
	for _, pattern := range l.allow {
		if pattern == anything || covers(pattern, path) {
			return true
		}
	}
	return false
}

func covers(pattern, path string) bool {
	base, below := strings.CutSuffix(pattern, "/...")
	return path == base || below && strings.HasPrefix(path, base+"/")
}

const module = "github.com/peregrine-rpc/peregrine"

// folderOf returns where in this module a package lies; "." is the root.
func folderOf(path string) (folder string, ok bool) {
	if path == module {
		return ".", true
	}
	return strings.CutPrefix(path, module+"/")
}

// isStd tells the standard library from the rest: only other paths begin with a domain name.
func isStd(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

// sourceFiles returns the package's files that people wrote and that are not tests. The go and cgo tools write theirs
// into the build cache, without an extension.
func sourceFiles(pass *analysis.Pass) []*ast.File {
	var files []*ast.File
	for _, file := range pass.Files {
		if name := fileName(pass, file); strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") {
			files = append(files, file)
		}
	}
	return files
}

func fileName(pass *analysis.Pass, file *ast.File) string {
	return filepath.Base(pass.Fset.Position(file.Package).Filename)
}

func importPath(spec *ast.ImportSpec) string {
	path, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		return spec.Path.Value
	}
	return path
}
