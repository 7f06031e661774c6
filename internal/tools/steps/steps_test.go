package steps

import (
	"errors"
	"io"
	"slices"
	"sync"
	"testing"
)

func TestStepsRunBesideEachOtherAndTheirRowsKeepTheirOrder(t *testing.T) {
	t.Parallel()
	var both sync.WaitGroup
	both.Add(2)
	meets := func(io.Writer) (string, error) { both.Done(); both.Wait(); return "met", nil }
	rows, err := Run(io.Discard, []Step{
		{Name: "one", Run: meets},
		{Name: "fails", Run: func(io.Writer) (string, error) { return "", errors.New("broken") }},
		{Name: "another", Run: meets},
	}, nil, 2)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range rows {
		got = append(got, r.Name+" "+string(r.Result)+" "+r.Reason)
	}
	if want := []string{"one ok met", "fails failed broken", "another ok met"}; !slices.Equal(got, want) {
		t.Errorf("rows: %q", got)
	}
}

func TestNothingRunsBeforeTheFirstStepHasEnded(t *testing.T) {
	t.Parallel()
	installed := false
	uses := func(io.Writer) (string, error) {
		if !installed {
			return "", errors.New("it is not there")
		}
		return "", nil
	}
	rows, err := Run(io.Discard, []Step{
		{Name: "install", First: true, Run: func(io.Writer) (string, error) { installed = true; return "", nil }},
		{Name: "one", Run: uses}, {Name: "another", Run: uses}, {Name: "unwanted", Run: uses},
	}, []string{"install", "one", "another"}, 3)
	if err != nil || len(rows) != 3 || Count(rows, Passed) != 3 {
		t.Errorf("rows: %+v, %v", rows, err)
	}
}
