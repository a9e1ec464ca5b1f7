package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const messageLimit = 64 << 20

// provider answers as its label says.
type provider struct {
	label string
}

func provide(args []string) error {
	flags := flag.NewFlagSet("provider", flag.ContinueOnError)
	label := flags.String("label", "v1", "what who answers")
	port := flags.Int("port", 0, "where to listen; 0: the kernel's choice")
	if err := flags.Parse(args); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", *port))
	if err != nil {
		return err
	}
	server := grpc.NewServer(grpc.MaxRecvMsgSize(messageLimit))
	server.RegisterService(description(), &provider{label: *label})
	fmt.Printf("READY %d\n", listener.Addr().(*net.TCPAddr).Port)
	go end(server)
	return server.Serve(listener)
}

// end stops gracefully at SIGTERM or at the end of the input.
func end(server *grpc.Server) {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		ended <- syscall.SIGTERM
	}()
	<-ended
	server.GracefulStop()
}

func description() *grpc.ServiceDesc {
	found := &grpc.ServiceDesc{ServiceName: service, HandlerType: (*any)(nil)}
	for name, shape := range methods {
		if shape.manyIn || shape.manyOut {
			found.Streams = append(found.Streams, grpc.StreamDesc{
				StreamName: name, ClientStreams: shape.manyIn, ServerStreams: shape.manyOut,
				Handler: func(on any, stream grpc.ServerStream) error {
					return on.(*provider).stream(name, stream)
				},
			})
			continue
		}
		found.Methods = append(found.Methods, grpc.MethodDesc{
			MethodName: name,
			Handler: func(on any, ctx context.Context, read func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
				in := shape.in()
				if err := read(in); err != nil {
					return nil, err
				}
				return on.(*provider).unary(ctx, name, in)
			},
		})
	}
	return found
}

func (p *provider) unary(ctx context.Context, name string, in proto.Message) (proto.Message, error) {
	_ = grpc.SetHeader(ctx, metadata.Pairs("peer-label", p.label))
	_ = grpc.SetTrailer(ctx, metadata.Pairs("peer-reply", "back"))
	switch name {
	case "echo":
		return in, nil
	case "who":
		return wrapperspb.String(p.label), nil
	case "headers":
		return received(ctx)
	case "fail":
		return nil, status.Error(codes.FailedPrecondition, in.(*wrapperspb.StringValue).Value)
	case "sleep":
		time.Sleep(time.Duration(in.(*wrapperspb.Int32Value).Value) * time.Millisecond)
		return wrapperspb.String(p.label), nil
	case "blob":
		return wrapperspb.Bytes(blob(int(in.(*wrapperspb.Int32Value).Value))), nil
	case "size":
		size, err := check(in.(*wrapperspb.BytesValue).Value)
		return wrapperspb.Int32(int32(size)), err
	}
	return nil, status.Error(codes.Unimplemented, name)
}

func (p *provider) stream(name string, stream grpc.ServerStream) error {
	_ = stream.SetHeader(metadata.Pairs("peer-label", p.label))
	stream.SetTrailer(metadata.Pairs("peer-reply", "back"))
	came := int32(0)
	for {
		in := methods[name].in()
		if err := stream.RecvMsg(in); err == io.EOF {
			break
		} else if err != nil {
			return err
		}
		came++
		switch name {
		case "chat":
			if err := stream.SendMsg(in); err != nil {
				return err
			}
		case "count":
			for range in.(*wrapperspb.Int32Value).Value {
				if err := stream.SendMsg(wrapperspb.String(p.label)); err != nil {
					return err
				}
			}
		}
	}
	if name == "sum" {
		return stream.SendMsg(wrapperspb.Int32(came))
	}
	return nil
}

func received(ctx context.Context) (proto.Message, error) {
	seen := map[string]any{}
	came, _ := metadata.FromIncomingContext(ctx)
	for name, values := range came {
		seen[name] = strings.Join(values, ",")
	}
	return structpb.NewStruct(seen)
}
