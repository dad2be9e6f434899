// The peer "go": the workloads of the Rust peers, on Go's own scheduler, with nothing but the standard library.
//
//	peers-go WORKLOAD [--procs P] [--n N]
//
// It prints a line for each figure, "workload peer procs metric value unit", as the others do.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
)

// A bench is one run: what was asked for.
type bench struct {
	workload string
	procs    int
	n        int // 0: the workload's own size
}

// A workload is a name and what it does.
type workload struct {
	name string
	run  func(b *bench)
}

var workloads = []workload{
	{"probe", probe},
	{"spawn_join", spawnJoin},
	{"spawn_join_handle", spawnJoinHandle},
	{"parked_mem", parkedMem},
	{"yield1", func(b *bench) { yields(b, 2, 1_000_000) }},
	{"yield_many", func(b *bench) { yields(b, 1000, 5000) }},
	{"yield_n", yieldN},
	{"pingpong", pingpong},
	{"ring", ring},
	{"spsc0", func(b *bench) { stream(b, 0, 1, 1, 2_000_000) }},
	{"spsc128", func(b *bench) { stream(b, 128, 1, 1, 4_000_000) }},
	{"mpsc128", func(b *bench) { stream(b, 128, 4, 1, 4_000_000) }},
	{"mpmc128", func(b *bench) { stream(b, 128, 4, 4, 4_000_000) }},
	{"select4", select4},
	{"select_nb", selectNB},
	{"select_timeout", selectTimeout},
	{"sieve", sieve},
	{"skynet", skynet},
	{"timers", func(b *bench) { timers(b, 100_000) }},
	{"timers_10k", func(b *bench) { timers(b, 10_000) }},
	{"sleeps", sleeps},
	{"fib", fib},
	{"cpu_map", cpuMap},
	{"hog", hog},
	{"blocking", blocking},
	{"deepstack", deepstack},
	{"mutex1", mutex1},
	{"mutex8", mutex8},
	{"rwlock1", rwlock1},
	{"rwlock8", rwlock8},
	{"mutex_chan", mutexChan},
	{"mutex_sleep", mutexSleep},
	{"barrier", barriers},
	{"condvar_turns", condvarTurns},
	{"semaphore", semaphore},
	{"wait_group", waitGroup},
	{"errgroup", errgroup},
	{"ctx_cancel", ctxCancel},
	{"pool", pool},
	{"map90", map90},
}

func main() {
	b, err := fromArgs(os.Args[1:])
	if err != nil {
		fmt.Fprintf(os.Stderr, "peers-go: %v\nusage: peers-go WORKLOAD [--procs P] [--n N]\n", err)
		os.Exit(2)
	}
	for _, w := range append(workloads, servers...) {
		if w.name == b.workload {
			runtime.GOMAXPROCS(b.procs)
			w.run(&b)
			return
		}
	}
	fmt.Fprintf(os.Stderr, "peers-go: no workload '%s'\n", b.workload)
	os.Exit(3)
}

// fromArgs reads WORKLOAD [--procs P] [--n N] [--peer go], in any order.
func fromArgs(args []string) (bench, error) {
	b := bench{procs: 2}
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "" || arg[0] != '-' {
			b.workload = arg
			continue
		}
		i++
		if i == len(args) {
			return b, fmt.Errorf("%s needs a value", arg)
		}
		value := args[i]
		number, err := strconv.Atoi(value)
		isNumber := err == nil && number > 0
		switch {
		case arg == "--procs" && isNumber:
			b.procs = number
		case arg == "--n" && isNumber:
			b.n = number
		case arg == "--peer" && value == "go":
		default:
			return b, fmt.Errorf("%s: %s?", arg, value)
		}
	}
	if b.workload == "" {
		return b, fmt.Errorf("which workload?")
	}
	return b, nil
}

// size is the one that was asked for, or else the workload's own.
func (b *bench) size(own int) int {
	if b.n > 0 {
		return b.n
	}
	return own
}
