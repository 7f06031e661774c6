package doctor

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
)

// Level is how much a finding matters.
type Level int

const (
	// Problem is what keeps what was asked about from working.
	Problem Level = iota
	// Advice is what makes it slower, or loses packets.
	Advice
	// Note is good to know.
	Note
)

var levelNames = [...]string{"problem", "advice", "note"}

func (l Level) String() string { return levelNames[l] }

// MarshalJSON writes the level's name.
func (l Level) MarshalJSON() ([]byte, error) { return json.Marshal(l.String()) }

// Finding is one thing that was found, and what to do about it.
type Finding struct {
	// Code is stable; docs/doctor.md has them all.
	Code  string `json:"code"`
	Level Level  `json:"level"`
	// What was found, with its figures, and Why it matters.
	What string `json:"what"`
	Why  string `json:"why"`
	// Do is commands, and sentences, which begin with a capital, where none can do it.
	Do []string `json:"do,omitempty"`
	// Changes are what --apply does.
	Changes []Change `json:"changes,omitempty"`

	aside bool // one level lower than the catalogue has it
}

// Change writes a file below /proc or /sys. Only what concerns nobody else's
// packets, and ends with a reboot, is one.
type Change struct {
	Path string `json:"path"`
	From string `json:"from"`
	To   string `json:"to"`
}

// Diagnosis is all that was found, the most useful first.
type Diagnosis struct {
	Facts    *Facts    `json:"facts"`
	Backends []Backend `json:"backends"`
	Findings []Finding `json:"findings"`
}

// Count is how many findings are of a level.
func (d *Diagnosis) Count(level Level) int {
	n := 0
	for i := range d.Findings {
		if d.Findings[i].Level == level {
			n++
		}
	}
	return n
}

// report gathers findings.
type report struct {
	*Facts
	found []Finding
}

// find adds a finding, unless it is about backends that nobody asked for.
func (r *report) find(code, what string, do ...string) {
	r.add(Finding{Code: code, What: what, Do: do})
}

// add is find for one with changes.
func (r *report) add(f Finding) {
	c, ok := lookup(f.Code)
	if !ok {
		panic("doctor: " + f.Code + " is not in the catalogue")
	}
	if !r.concerns(c) {
		return
	}
	f.Level, f.Why = c.level, c.why
	// What is only about backends that nobody takes unasked matters less.
	if f.aside = r.Asked.Backend == "" && len(c.backends) > 0 && !slices.Contains(c.backends, "udp"); f.aside {
		f.Level = min(f.Level+1, Note)
	}
	r.found = append(r.found, f)
}

func (r *report) concerns(c entry) bool {
	if len(c.backends) == 0 {
		return true
	}
	if r.Asked.Backend != "" {
		return slices.Contains(c.backends, r.Asked.Backend)
	}
	return slices.ContainsFunc(c.backends, func(name string) bool { return slices.Contains(r.Asked.Built, name) })
}

// has tells whether a code was found.
func (r *report) has(code string) bool {
	return slices.ContainsFunc(r.found, func(f Finding) bool { return f.Code == code })
}

// checks are run in this order; what is printed has that of the catalogue.
var checks = []func(*report){
	checkInterface, checkQueues, checkOffloads, checkLoss, checkRSS,
	checkENA, checkVirtio, checkMlx5,
	checkUDP, checkURing, checkXDP, checkDPDK,
	checkCPUs, checkChosenCPUs, checkIsolation, checkInterrupts,
	checkHost, checkContainer, checkMemory, checkCache, checkMeasured,
}

// Examine draws the conclusions.
func Examine(f *Facts) *Diagnosis {
	r := &report{Facts: f}
	for _, check := range checks {
		check(r)
	}
	slices.SortStableFunc(r.found, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Level, b.Level), cmp.Compare(truth(a.aside), truth(b.aside)), cmp.Compare(rank(a.Code), rank(b.Code)))
	})
	return &Diagnosis{Facts: f, Backends: backends(r), Findings: r.found}
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}

// sysctl is the number that a setting has.
func (f *Facts) sysctl(name string) (value int, ok bool) {
	text, ok := f.Host.Sysctl[name]
	return leading(text), ok
}

// lacks lists those capabilities that this process has not.
func (p *Process) lacks(names ...string) []string {
	var missing []string
	for _, name := range names {
		if !p.Capabilities[name] && (name != "BPF" || !p.Capabilities["SYS_ADMIN"]) {
			missing = append(missing, "CAP_"+name)
		}
	}
	return missing
}

// count writes "1 queue" and "2 queues".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
