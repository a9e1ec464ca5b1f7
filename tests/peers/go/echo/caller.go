package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
)

const callTimeout = 5 * time.Second

// command is what a line asks for.
type command struct {
	Op          string            `json:"op"`
	Ref         string            `json:"ref"`
	Address     string            `json:"address"`
	Authority   string            `json:"authority"`
	Method      string            `json:"method"`
	Args        []any             `json:"args"`
	Timeout     int               `json:"timeout"`
	Attachments map[string]string `json:"attachments"`
	N           int               `json:"n"`
	Threads     int               `json:"threads"`
	Pause       int               `json:"pause"`
	Unique      bool              `json:"unique"`
}

// caller has a connection for each name that a refer gave.
type caller struct {
	lock  sync.Mutex
	conns map[string]*grpc.ClientConn
}

func newCaller() *caller {
	return &caller{conns: map[string]*grpc.ClientConn{}}
}

func (c *caller) refer(asked command) error {
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(messageLimit)),
	}
	if asked.Authority != "" {
		options = append(options, grpc.WithAuthority(asked.Authority))
	}
	conn, err := grpc.NewClient(asked.Address, options...)
	if err != nil {
		return err
	}
	c.lock.Lock()
	defer c.lock.Unlock()
	if old := c.conns[asked.Ref]; old != nil {
		_ = old.Close()
	}
	c.conns[asked.Ref] = conn
	return nil
}

func (c *caller) close(asked command) error {
	c.lock.Lock()
	defer c.lock.Unlock()
	conn := c.conns[asked.Ref]
	delete(c.conns, asked.Ref)
	if conn == nil {
		return fmt.Errorf("no refer named %s", asked.Ref)
	}
	return conn.Close()
}

// call makes one call; beside the value it gives what came in headers and trailers.
func (c *caller) call(asked command) (any, map[string]string, error) {
	c.lock.Lock()
	conn := c.conns[asked.Ref]
	c.lock.Unlock()
	if conn == nil {
		return nil, nil, fmt.Errorf("no refer named %s", asked.Ref)
	}
	timeout := callTimeout
	if asked.Timeout > 0 {
		timeout = time.Duration(asked.Timeout) * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if len(asked.Attachments) > 0 {
		ctx = metadata.NewOutgoingContext(ctx, metadata.New(asked.Attachments))
	}
	shape, known := methods[asked.Method]
	if !known {
		shape = methods["echo"]
	}
	if shape.manyIn || shape.manyOut {
		return stream(ctx, conn, asked, shape)
	}
	in, err := message(shape.in(), first(asked.Args))
	if err != nil {
		return nil, nil, err
	}
	out := shape.out()
	var header, trailer metadata.MD
	err = conn.Invoke(ctx, path(asked.Method), in, out, grpc.Header(&header), grpc.Trailer(&trailer))
	if err != nil {
		return nil, nil, err
	}
	value, err := told(out)
	return value, joined(header, trailer), err
}

// stream sends an argument a message and gives the list of what came back.
func stream(ctx context.Context, conn *grpc.ClientConn, asked command, shape shape) (any, map[string]string, error) {
	description := &grpc.StreamDesc{ClientStreams: shape.manyIn, ServerStreams: shape.manyOut}
	calling, err := conn.NewStream(ctx, description, path(asked.Method))
	if err != nil {
		return nil, nil, err
	}
	came := []any{}
	both := shape.manyIn && shape.manyOut
	for _, arg := range asked.Args {
		in, err := message(shape.in(), arg)
		if err != nil {
			return nil, nil, err
		}
		// io.EOF: the call is over, and receiving tells why.
		if err := calling.SendMsg(in); err != nil && err != io.EOF {
			return nil, nil, err
		}
		if both {
			if came, err = receive(calling, shape.out(), came); err != nil {
				return nil, nil, err
			}
		}
	}
	if err := calling.CloseSend(); err != nil {
		return nil, nil, err
	}
	for {
		came, err = receive(calling, shape.out(), came)
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, nil, err
		}
		// Receiving the one answer reads the end as well.
		if !shape.manyOut {
			break
		}
	}
	header, err := calling.Header()
	return came, joined(header, calling.Trailer()), err
}

func receive(calling grpc.ClientStream, out proto.Message, came []any) ([]any, error) {
	if err := calling.RecvMsg(out); err != nil {
		return came, err
	}
	value, err := told(out)
	return append(came, value), err
}

func path(method string) string {
	return "/" + service + "/" + method
}

func first(args []any) any {
	if len(args) == 0 {
		return nil
	}
	return args[0]
}

func joined(header, trailer metadata.MD) map[string]string {
	all := map[string]string{}
	for name, values := range metadata.Join(header, trailer) {
		all[name] = strings.Join(values, ",")
	}
	return all
}
