// Command echo provides or calls peer.api.Echo over gRPC: `echo provider --label v1 --port 0` and `echo consumer`.
// Both speak the line protocol of ../../README.md.
package main

import (
	"fmt"
	"os"
)

func main() {
	role := ""
	if len(os.Args) > 1 {
		role = os.Args[1]
	}
	var err error
	switch role {
	case "provider":
		err = provide(os.Args[2:])
	case "consumer":
		err = serve(newCaller())
	default:
		err = fmt.Errorf("provider or consumer, not %q", role)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
