package report

import (
	"fmt"
	"os"
	"runtime"
	"strings"
)

// Machine is what figures depend on.
type Machine struct {
	CPU    string
	CPUs   int
	Kernel string
	Go     string
}

// ThisMachine reads what it is.
func ThisMachine() Machine {
	m := Machine{CPU: runtime.GOARCH, CPUs: runtime.NumCPU(), Kernel: runtime.GOOS, Go: runtime.Version()}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		m.CPU = cpuModel(string(text), m.CPU)
	}
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = "Linux " + strings.TrimSpace(string(text))
	}
	return m
}

// cpuModel finds the model's name, which not every architecture has.
func cpuModel(cpuinfo, fallback string) string {
	for line := range strings.Lines(cpuinfo) {
		name, value, ok := strings.Cut(line, ":")
		if ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return fallback
}

func (m Machine) String() string {
	return fmt.Sprintf("%s, %d CPUs, %s, %s", m.CPU, m.CPUs, m.Kernel, m.Go)
}
