package main

import "testing"

const annotated = `--------------------------------------------------------------------------------
Ir                   
--------------------------------------------------------------------------------
1,000 (100.0%)  PROGRAM TOTALS

--------------------------------------------------------------------------------
Ir                  file:function
--------------------------------------------------------------------------------
  600 (60.00%)  /tree/core/send.go:github.com/peregrine-rpc/peregrine/core.(*mux).Fill [/tmp/core.test]
  250 (25.00%)  ???:runtime.memmove
   50 ( 5.00%)  /tree/core/send.go:github.com/peregrine-rpc/peregrine/core.(*mux).Fill'2 [/tmp/core.test]
`

func TestASlopeLeavesTheStartOut(t *testing.T) {
	t.Parallel()
	short, err := parse(annotated)
	if err != nil {
		t.Fatal(err)
	}
	long := profile{total: 3000, functions: map[string]float64{"/core.(*mux).Fill": 2650, "runtime.memmove": 300}}
	p, err := slope(short, long, 20)
	if err != nil {
		t.Fatal(err)
	}
	if p.total != 100 || p.functions["/core.(*mux).Fill"] != 100 || p.functions["runtime.memmove"] != 2.5 {
		t.Fatalf("%+v", p)
	}
	if most := p.most(5); len(most) != 2 || most[0] != "/core.(*mux).Fill" {
		t.Fatal(most)
	}
}

func TestWhatSaysNothingIsAnError(t *testing.T) {
	t.Parallel()
	if _, err := parse("valgrind: not found\n"); err != errNothing {
		t.Fatal(err)
	}
	if _, err := slope(profile{total: 500}, profile{total: 501}, 20); err != errNoBenchmark {
		t.Fatal(err)
	}
}
