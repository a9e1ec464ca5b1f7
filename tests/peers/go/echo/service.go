package main

import (
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const service = "peer.api.Echo"

// shape tells what a method takes and gives; the well-known types save a schema of our own.
type shape struct {
	in, out func() proto.Message
	// Whether many messages go there, and come back.
	manyIn, manyOut bool
}

func text() proto.Message    { return &wrapperspb.StringValue{} }
func number() proto.Message  { return &wrapperspb.Int32Value{} }
func octets() proto.Message  { return &wrapperspb.BytesValue{} }
func nothing() proto.Message { return &emptypb.Empty{} }
func object() proto.Message  { return &structpb.Struct{} }

var methods = map[string]shape{
	"echo":    {in: text, out: text},
	"who":     {in: nothing, out: text},
	"headers": {in: nothing, out: object},
	"fail":    {in: text, out: text},
	"sleep":   {in: number, out: text},
	"blob":    {in: number, out: octets},
	"size":    {in: octets, out: number},
	// So many times the label.
	"count": {in: number, out: text, manyOut: true},
	// How many texts came.
	"sum": {in: text, out: number, manyIn: true},
	// Each text back at once.
	"chat": {in: text, out: text, manyIn: true, manyOut: true},
}

// message makes the message of a type from a value of a command.
func message(empty proto.Message, value any) (proto.Message, error) {
	switch filled := empty.(type) {
	case *emptypb.Empty:
		return filled, nil
	case *wrapperspb.StringValue:
		said, ok := value.(string)
		filled.Value = said
		return filled, want(ok, "a text", value)
	case *wrapperspb.Int32Value:
		said, ok := value.(float64)
		filled.Value = int32(said)
		return filled, want(ok, "a number", value)
	case *wrapperspb.BytesValue:
		said, ok := value.(map[string]any)
		size, isNumber := said["octets"].(float64)
		filled.Value = blob(int(size))
		return filled, want(ok && isNumber, "octets", value)
	}
	return nil, fmt.Errorf("no message %T is sent", empty)
}

func want(ok bool, what string, value any) error {
	if ok {
		return nil
	}
	return fmt.Errorf("%v is not %s", value, what)
}

// told is a message as an answer tells it.
func told(message proto.Message) (any, error) {
	switch said := message.(type) {
	case *wrapperspb.StringValue:
		return said.Value, nil
	case *wrapperspb.Int32Value:
		return said.Value, nil
	case *wrapperspb.BytesValue:
		size, err := check(said.Value)
		return map[string]any{"octets": size}, err
	case *structpb.Struct:
		return said.AsMap(), nil
	}
	return nil, nil
}

// blob makes octets that tell whether any of them was lost, moved or changed on the way.
func blob(size int) []byte {
	made := make([]byte, size)
	for i := range made {
		made[i] = octet(i)
	}
	return made
}

func check(octets []byte) (int, error) {
	for i := range octets {
		if octets[i] != octet(i) {
			return 0, fmt.Errorf("octet %d of %d is wrong", i, len(octets))
		}
	}
	return len(octets), nil
}

func octet(i int) byte {
	return byte(i*31 + i>>8)
}
