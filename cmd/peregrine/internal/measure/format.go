package measure

import (
	"fmt"
	"time"
)

// Count writes n with three digits and a unit prefix: "2.31 M".
func Count(n float64) string { return scaled(n, 1000, "", " k", " M", " G") }

// Micros writes a number of microseconds with a fitting unit: "12.3 µs".
func Micros(us float64) string { return scaled(us, 1000, " µs", " ms", " s") }

// Size writes bytes the way they are given on the command line: "8 MiB".
func Size(n int) string {
	for _, u := range []struct {
		bytes int
		name  string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n >= u.bytes && n%u.bytes == 0 {
			return fmt.Sprintf("%d %s", n/u.bytes, u.name)
		}
	}
	return fmt.Sprintf("%d B", n)
}

// Plural writes "1 session" and "2 sessions".
func Plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// Short writes a duration as few characters as three digits need.
func Short(d time.Duration) string { return Micros(float64(d) / 1e3) }

// scaled writes n with three digits in the largest unit that keeps it above one.
func scaled(n, step float64, units ...string) string {
	i := 0
	for n >= step*0.9995 && i < len(units)-1 {
		n /= step
		i++
	}
	switch {
	case n == 0:
		return "0" + units[i]
	case n < 9.995:
		return fmt.Sprintf("%.2f%s", n, units[i])
	case n < 99.95:
		return fmt.Sprintf("%.1f%s", n, units[i])
	}
	return fmt.Sprintf("%.0f%s", n, units[i])
}
