package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"

	"google.golang.org/grpc/status"
)

const lineLimit = 1 << 20

// answer is what came of a command.
type answer struct {
	OK          bool              `json:"ok"`
	Value       any               `json:"value"`
	Attachments map[string]string `json:"attachments"`
	Exception   string            `json:"exception,omitempty"`
	Code        int               `json:"code"`
	Message     string            `json:"message,omitempty"`
	Millis      int64             `json:"millis"`
}

// serve carries out commands one after the other until the input ends.
func serve(caller *caller) error {
	fmt.Println("READY 0")
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, lineLimit)
	for lines.Scan() {
		start := time.Now()
		told := carryOut(caller, lines.Bytes())
		told.Millis = time.Since(start).Milliseconds()
		line, err := json.Marshal(told)
		if err != nil {
			return err
		}
		fmt.Println(string(line))
	}
	return lines.Err()
}

func carryOut(caller *caller, line []byte) answer {
	asked := command{Op: "call", Ref: "default", Threads: 1}
	err := json.Unmarshal(line, &asked)
	if err != nil {
		return failure(err)
	}
	told := answer{OK: true}
	switch asked.Op {
	case "refer":
		err = caller.refer(asked)
	case "close":
		err = caller.close(asked)
	case "call":
		told.Value, told.Attachments, err = caller.call(asked)
	case "concurrent":
		told.Value = concurrent(caller, asked)
	default:
		err = fmt.Errorf("no such op: %s", asked.Op)
	}
	if err != nil {
		return failure(err)
	}
	return told
}

func failure(err error) answer {
	if known, ok := status.FromError(err); ok {
		return answer{Exception: "grpc.Status", Code: int(known.Code()), Message: known.Message()}
	}
	return answer{Exception: fmt.Sprintf("%T", err), Code: -1, Message: err.Error()}
}

// counts is what came of many calls.
type counts struct {
	lock     sync.Mutex
	Answers  map[string]int    `json:"answers"`
	Failures map[string]int    `json:"failures"`
	Messages map[string]string `json:"messages"`
	Wrong    int               `json:"wrong"`
	Slowest  int64             `json:"slowest"`
}

// concurrent makes n calls from so many threads; unique gives each a text of its own and counts answers that are not it.
func concurrent(caller *caller, asked command) *counts {
	all := &counts{Answers: map[string]int{}, Failures: map[string]int{}, Messages: map[string]string{}}
	numbers := make(chan int, asked.N)
	for i := range asked.N {
		numbers <- i
	}
	close(numbers)
	var running sync.WaitGroup
	for range asked.Threads {
		running.Go(func() {
			for number := range numbers {
				all.one(caller, asked, number)
				time.Sleep(time.Duration(asked.Pause) * time.Millisecond)
			}
		})
	}
	running.Wait()
	return all
}

func (c *counts) one(caller *caller, asked command, number int) {
	said := fmt.Sprintf("unique-%d", number)
	if asked.Unique {
		asked.Args = []any{said}
	}
	start := time.Now()
	value, _, err := caller.call(asked)
	c.lock.Lock()
	defer c.lock.Unlock()
	c.Slowest = max(c.Slowest, time.Since(start).Milliseconds())
	if err != nil {
		told := failure(err)
		key := fmt.Sprintf("%s/%d", told.Exception, told.Code)
		c.Failures[key]++
		c.Messages[key] = told.Message
		return
	}
	key := fmt.Sprint(value)
	if asked.Unique {
		if value != any(said) {
			c.Wrong++
		}
		key = "echo"
	}
	c.Answers[key]++
}
