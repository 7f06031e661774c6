package transport

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/peregrine-rpc/peregrine/internal/nearest"
)

// Faults says what a [NewFault] decorator does to datagrams. Each direction
// suffers it independently: a round trip meets loss and delay twice.
type Faults struct {
	// Loss, Duplicate, Reorder and Corrupt are the probabilities, from 0 to 1,
	// that a datagram is lost, comes twice, is overtaken by up to eight later
	// ones, or has one bit flipped.
	Loss, Duplicate, Reorder, Corrupt float64
	// Delay is added to each datagram, one way; from 0 to 10 s.
	Delay time.Duration
	// Seed decides: the same seed and sequence of datagrams in a direction
	// meet the same faults.
	Seed uint64
}

// maxDelay keeps typing errors from looking like a dead network.
const maxDelay = 10 * time.Second

// faultKeys are the keys of ParseFaults, in the order of String.
var faultKeys = []string{"loss", "dup", "reorder", "delay", "corrupt", "seed"}

// ParseFaults reads a list such as
//
//	loss=0.01,dup=0.01,reorder=0.05,delay=1ms,corrupt=0.001,seed=7
//
// in any order; what is not named is 0. An empty text is no faults. Errors are
// [*ConfigError] and name the key.
func ParseFaults(text string) (Faults, error) {
	var f Faults
	if strings.TrimSpace(text) == "" {
		return f, nil
	}
	seen := make(map[string]bool)
	for item := range strings.SplitSeq(text, ",") {
		key, value, ok := strings.Cut(strings.TrimSpace(item), "=")
		if !ok {
			return Faults{}, faultError(key, "has no value: write key=value, separated by commas")
		}
		if seen[key] {
			return Faults{}, faultError(key, "given more than once: keep one")
		}
		seen[key] = true
		var err error
		switch key {
		case "loss":
			err = parseProbability(&f.Loss, value)
		case "dup":
			err = parseProbability(&f.Duplicate, value)
		case "reorder":
			err = parseProbability(&f.Reorder, value)
		case "corrupt":
			err = parseProbability(&f.Corrupt, value)
		case "delay":
			f.Delay, err = time.ParseDuration(value)
			if err != nil || f.Delay < 0 || f.Delay > maxDelay {
				err = fmt.Errorf("%q is not a delay: write a duration from 0s to %v, such as 1ms", value, maxDelay)
			}
		case "seed":
			f.Seed, err = strconv.ParseUint(value, 10, 64)
			if err != nil {
				err = fmt.Errorf("%q is not a seed: write a whole number from 0 to 2^64-1", value)
			}
		default:
			return Faults{}, faultError(key, "unknown key"+nearest.DidYouMean(key, faultKeys)+"; known keys are "+strings.Join(faultKeys, ", "))
		}
		if err != nil {
			return Faults{}, faultError(key, err.Error())
		}
	}
	return f, nil
}

func faultError(key, problem string) error {
	return &ConfigError{Driver: "fault", Key: key, Problem: problem}
}

func parseProbability(p *float64, text string) error {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || !(v >= 0 && v <= 1) {
		return fmt.Errorf("%q is not a probability: write a number from 0 to 1, such as 0.01 for one in a hundred", text)
	}
	*p = math.Abs(v) // -0 is 0
	return nil
}

// String is the form that ParseFaults reads, without what is 0.
func (f Faults) String() string {
	var items []string
	for _, key := range faultKeys {
		var value string
		switch key {
		case "loss":
			value = formatProbability(f.Loss)
		case "dup":
			value = formatProbability(f.Duplicate)
		case "reorder":
			value = formatProbability(f.Reorder)
		case "corrupt":
			value = formatProbability(f.Corrupt)
		case "delay":
			value = f.Delay.String()
		case "seed":
			value = strconv.FormatUint(f.Seed, 10)
		}
		if value != "0" && value != "0s" {
			items = append(items, key+"="+value)
		}
	}
	return strings.Join(items, ",")
}

func formatProbability(p float64) string {
	return strconv.FormatFloat(p, 'g', -1, 64)
}

// active says that f does anything at all.
func (f Faults) active() bool {
	return f.Loss > 0 || f.Duplicate > 0 || f.Reorder > 0 || f.Corrupt > 0 || f.Delay > 0
}
