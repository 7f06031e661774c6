package dissector

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
)

// Name is the file that Wireshark is to find among its plugins.
const Name = "peregrine.lua"

// Script is the dissector.
//
//go:embed peregrine.lua
var Script string

// Folder is where Wireshark looks for the plugins of the user whose home folder this is.
func Folder(home string) string { return filepath.Join(home, ".local", "lib", "wireshark", "plugins") }

// Install writes the dissector to a folder, which it makes if need be, and returns its path.
func Install(folder string) (path string, err error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", fmt.Errorf("cannot make Wireshark's folder of plugins: %w", err)
	}
	path = filepath.Join(folder, Name)
	if err := os.WriteFile(path, []byte(Script), 0o644); err != nil {
		return "", fmt.Errorf("cannot write the dissector: %w", err)
	}
	return path, nil
}
