package routes

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAForgottenRouteIsUsedAgain(t *testing.T) {
	t.Parallel()
	var table Table[string]
	a, b := table.Add("a"), table.Add("b")
	require.Equal(t, "a", *table.Get(a))
	table.Forget(a)
	require.Nil(t, table.Get(a))
	require.Equal(t, a, table.Add("c"), "the table does not grow")
	require.Equal(t, "b", *table.Get(b))
	require.Equal(t, "c", *table.Get(a))
}

func TestWhatIsNotInTheTableHarmsNobody(t *testing.T) {
	t.Parallel()
	var table Table[string]
	a := table.Add("a")
	table.Forget(a)
	table.Forget(a) // twice
	table.Forget(a + 1000)
	require.Nil(t, table.Get(a+1000))
	require.Equal(t, a, table.Add("b"))
	require.NotEqual(t, a, table.Add("c"), "no slot is lent twice")
}

func TestEachVisitsWhatIsInUse(t *testing.T) {
	t.Parallel()
	var table Table[int]
	for i := range 4 {
		table.Add(i)
	}
	table.Forget(2)
	sum := 0
	table.Each(func(d *int) {
		sum += *d
		*d *= 10
	})
	require.Equal(t, 0+1+3, sum)
	require.Equal(t, 30, *table.Get(3), "f may change a destination")
}
