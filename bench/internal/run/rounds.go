package run

import (
	"context"
	"errors"

	"github.com/peregrine-rpc/peregrine/bench/internal/stat"
)

// Rounds measures each runner once a round, by turns, so that what is compared
// was measured within seconds; every second round backwards, so that a machine
// that grows slower is no one's disadvantage. Of each runner it returns the series
// and the errors of failed runs. told is called before each run.
func Rounds(ctx context.Context, runners []Runner, rounds int, told func(round, runner int)) ([]stat.Series, [][]error, error) {
	series := make([]stat.Series, len(runners))
	failures := make([][]error, len(runners))
	for round := range rounds {
		for i := range runners {
			if round%2 == 1 {
				i = len(runners) - 1 - i
			}
			told(round, i)
			values, err := runners[i].Run(ctx)
			if ctx.Err() != nil {
				return nil, nil, errors.New("interrupted")
			}
			var sample *stat.Sample
			if err == nil {
				label := stat.LabelOf(values["cacheline_rtt_ns"], values["cacheline_rtt_after_ns"])
				sample = &stat.Sample{Label: label, Values: values}
			} else {
				failures[i] = append(failures[i], err)
			}
			series[i] = append(series[i], sample)
		}
	}
	return series, failures, nil
}
