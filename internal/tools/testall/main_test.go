package main

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
	meets := func(io.Writer) error { both.Done(); both.Wait(); return nil }
	rows, err := runSteps([]step{
		{name: "one", run: meets},
		{name: "fails", run: func(io.Writer) error { return errors.New("broken") }},
		{name: "another", run: meets},
	}, nil, 2)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range rows {
		got = append(got, r.name+" "+string(r.result))
	}
	if want := []string{"one ok", "fails failed", "another ok"}; !slices.Equal(got, want) {
		t.Errorf("rows: %q", got)
	}
}

func TestNothingRunsBeforeTheFirstStepHasEnded(t *testing.T) {
	t.Parallel()
	installed := false
	uses := func(io.Writer) error {
		if !installed {
			return errors.New("it is not there")
		}
		return nil
	}
	rows, err := runSteps([]step{
		{name: "install", first: true, run: func(io.Writer) error { installed = true; return nil }},
		{name: "one", run: uses}, {name: "another", run: uses}, {name: "unwanted", run: uses},
	}, []string{"install", "one", "another"}, 3)
	if err != nil || len(rows) != 3 || slices.ContainsFunc(rows, func(r row) bool { return r.result != passed }) {
		t.Errorf("rows: %+v, %v", rows, err)
	}
}
