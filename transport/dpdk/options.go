package dpdk

import (
	"slices"
	"strings"
)

// EAL's options, as a user adds them to ours.

// sameOption are names of EAL's for what can be said once, the first standing for all.
var sameOption = [][]string{
	{"--lcores", "-l", "-c", "--coremask"},
	{"-m", "--memory-size", "--socket-mem", "--numa-mem"},
}

// without is the arguments of those options that the user does not give: of an option
// that was given twice EAL took the second, and does no longer.
func without(ours [][]string, given []string) (args []string) {
	var names []string
	for _, g := range given {
		names = append(names, optionOf(g))
	}
	for _, option := range ours {
		name := optionOf(option[0])
		if slices.Contains(options.lists, name) && name != "--log-level" || !slices.Contains(names, name) {
			args = append(args, option...)
		}
	}
	return args
}

// optionOf is the first name of an argument's option.
func optionOf(arg string) string {
	name, _, _ := strings.Cut(arg, "=")
	if len(name) > 2 && name[0] == '-' && name[1] != '-' {
		name = name[:2] // its value follows at once
	}
	for _, same := range sameOption {
		if slices.Contains(same, name) {
			return same[0]
		}
	}
	return name
}

// checkOptions makes sure that EAL does not end the process.
func checkOptions(given []string, r release) error {
	if !strictEAL.has(r) {
		return nil
	}
	var once []string
	for i := 0; i < len(given); i++ {
		name, _, hasValue := strings.Cut(given[i], "=")
		list := slices.Contains(options.lists, name)
		switch {
		case !strings.HasPrefix(name, "-"):
			return wrong("eal_args", "%q is no option: write those that begin with - and their values", name)
		case slices.Contains(once, optionOf(name)):
			return wrong("eal_args", "%s is there twice: give it once", name)
		case list || slices.Contains(options.values, name):
			if !hasValue {
				i++
			}
			if i == len(given) {
				return wrong("eal_args", "%s lacks its value: add it", name)
			}
		case slices.Contains(options.none, name) && hasValue:
			return wrong("eal_args", "%s takes no value: leave it out", name)
		case !slices.Contains(options.none, name) && !slices.Contains(options.maybe, name):
			return wrong("eal_args", "DPDK %v has no option %s: correct it; a value stands apart or follows =", r, name)
		}
		if !list {
			once = append(once, optionOf(name))
		}
	}
	return nil
}
