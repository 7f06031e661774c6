package affinity_test

import (
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/internal/affinity"
)

// cpusOf lists the CPUs of a thread; 0 is the calling one.
func cpusOf(t *testing.T, tid int) []int {
	t.Helper()
	var set unix.CPUSet
	require.NoError(t, unix.SchedGetaffinity(tid, &set))
	var cpus []int
	for cpu := range len(set) * 64 {
		if set.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	return cpus
}

func TestAPinnedThreadRunsOnItsCPUAndIsFreedAgain(t *testing.T) {
	before := cpusOf(t, os.Getpid())
	last := before[len(before)-1]

	undo, err := affinity.Pin(last)
	require.NoError(t, err)
	require.Equal(t, []int{last}, cpusOf(t, 0))
	undo()

	undo, err = affinity.Pin(before[0])
	require.NoError(t, err, "the goroutine is free to be pinned anew")
	require.Equal(t, []int{before[0]}, cpusOf(t, 0))
	undo()
}

func TestPinningAThreadLeavesTheOthersAlone(t *testing.T) {
	// The main goroutine never runs a test, and its thread is not this one
	// while this one is locked.
	undo, err := affinity.Pin(0)
	require.NoError(t, err)
	defer undo()
	self := unix.Gettid()
	tasks, err := os.ReadDir("/proc/self/task")
	require.NoError(t, err)
	require.Greater(t, len(tasks), 1)
	widest := 0
	for _, task := range tasks {
		tid, err := strconv.Atoi(task.Name())
		require.NoError(t, err)
		if tid != self {
			widest = max(widest, len(cpusOf(t, tid)))
		}
	}
	var mine unix.CPUSet
	require.NoError(t, unix.SchedGetaffinity(0, &mine))
	require.Equal(t, 1, mine.Count())
	if len(cpusOf(t, os.Getpid())) > 1 {
		require.Greater(t, widest, 1)
	}
}

func TestAProcessMovesWithAllItsThreads(t *testing.T) {
	before := cpusOf(t, os.Getpid())
	defer func() { require.NoError(t, affinity.SetProcess(before...)) }()

	require.NoError(t, affinity.SetProcess(before[0]))
	tasks, err := os.ReadDir("/proc/self/task")
	require.NoError(t, err)
	for _, task := range tasks {
		tid, err := strconv.Atoi(task.Name())
		require.NoError(t, err)
		require.Equal(t, before[:1], cpusOf(t, tid))
	}
}

func TestAnAbsentCPUIsAnErrorThatSaysSo(t *testing.T) {
	for _, cpu := range []int{-1, 1 << 20} {
		_, err := affinity.Pin(cpu)
		require.ErrorContains(t, err, "there is no CPU")
		require.ErrorContains(t, affinity.SetProcess(cpu), "there is no CPU")
	}
	_, err := affinity.Pin(1023)
	require.ErrorContains(t, err, "offline, absent")
	require.Error(t, affinity.SetProcess(), "no CPU at all")
}
