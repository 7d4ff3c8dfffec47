// Command cilium-policy is Cilium's own policy engine, as a peer to be asked and to be measured.
//
//	cilium-policy answer [-rounds N] < cases > answered cases
//	cilium-policy bench [-samples N]
//
// Upstream's engine is an ordinary dependency, unmodified.
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	if len(os.Args) < 2 {
		usage()
	}
	flags := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	switch os.Args[1] {
	case "answer":
		rounds := flags.Int("rounds", 8, "how often each case is asked, in changing order; three times as often where authentication is mentioned")
		must(flags.Parse(os.Args[2:]))
		answerAll(os.Stdin, os.Stdout, *rounds)
	case "bench":
		samples := flags.Int("samples", 7, "samples per figure; the median is printed")
		must(flags.Parse(os.Args[2:]))
		bench(*samples)
	default:
		usage()
	}
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: cilium-policy answer [-rounds N] | bench [-samples N]")
	os.Exit(2)
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "cilium-policy:", err)
		os.Exit(1)
	}
}
