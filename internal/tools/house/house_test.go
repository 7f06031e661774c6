package house_test

import (
	"testing"

	"golang.org/x/tools/go/analysis/analysistest"

	"github.com/peregrine-rpc/peregrine/internal/tools/house"
)

// The packages below testdata carry the module's own import paths; each "want" comment in them is a violation that
// must be reported, and everything else in them must pass.
const module = "github.com/peregrine-rpc/peregrine/"

func TestLayersReportsImportsAgainstTheTable(t *testing.T) {
	analysistest.Run(t, analysistest.TestData(), house.Layers,
		module+"wire", module+"cc", module+"transport", module+"transport/udp", module+"attic", module+"cmd/peregrine")
}

func TestPureReportsClocksGoroutinesAndTheOutsideWorld(t *testing.T) {
	analysistest.Run(t, analysistest.TestData(), house.Pure, module+"core")
}

func TestUnsafeReportsFilesThatDoNotSayIt(t *testing.T) {
	analysistest.Run(t, analysistest.TestData(), house.Unsafe, module+"internal/ring")
}
