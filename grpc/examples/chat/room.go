package main

import (
	"context"
	"errors"
	"io"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/peregrine-rpc/peregrine/grpc/examples/chat/chatpb"
)

// chat is the service, as one writes it for gRPC.
type chat struct {
	pb.UnimplementedChatServer

	mu    sync.Mutex
	rooms map[string]*room
}

type room struct {
	notes   []*pb.Note
	present map[*talker]bool
}

// talker is one stream of Talk.
type talker struct{ toHear chan *pb.Note }

// behind is how many notes may wait for a talker; one that is slower misses some.
const behind = 256

// enter returns a room, and makes it if there is none. c.mu is held.
func (c *chat) enter(name string) *room {
	if c.rooms == nil {
		c.rooms = map[string]*room{}
	}
	r := c.rooms[name]
	if r == nil {
		r = &room{present: map[*talker]bool{}}
		c.rooms[name] = r
	}
	return r
}

// add puts a note into its room; from, if it is a talker, is there from then on, and all
// others there hear it.
func (c *chat) add(from *talker, note *pb.Note) error {
	if note.GetRoom() == "" {
		return status.Error(codes.InvalidArgument, "which room is the note of?")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.enter(note.GetRoom())
	r.notes = append(r.notes, note)
	if from == nil {
		return nil
	}
	r.present[from] = true
	for other := range r.present {
		if other == from {
			continue
		}
		select {
		case other.toHear <- note:
		default:
		}
	}
	return nil
}

// leave takes a talker out of all rooms. It hears no more.
func (c *chat) leave(t *talker) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.rooms {
		delete(r.present, t)
	}
	close(t.toHear)
}

func (c *chat) find(name string) (notes []*pb.Note, present int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.rooms[name]
	if r == nil {
		return nil, 0, status.Errorf(codes.NotFound, "there is no room %q", name)
	}
	return r.notes, len(r.present), nil // notes are only ever added behind these
}

func (c *chat) Look(_ context.Context, in *pb.Room) (*pb.RoomInfo, error) {
	notes, present, err := c.find(in.GetName())
	if err != nil {
		return nil, err
	}
	return &pb.RoomInfo{Notes: int64(len(notes)), Present: int64(present)}, nil
}

func (c *chat) Read(in *pb.Room, stream pb.Chat_ReadServer) error {
	notes, _, err := c.find(in.GetName())
	if err != nil {
		return err
	}
	for _, note := range notes {
		if err := stream.Send(note); err != nil {
			return err
		}
	}
	return nil
}

func (c *chat) Bring(stream pb.Chat_BringServer) error {
	rooms, notes := map[string]bool{}, int64(0)
	for {
		note, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return stream.SendAndClose(&pb.BringSummary{Notes: notes, Rooms: int64(len(rooms))})
		}
		if err == nil {
			err = c.add(nil, note)
		}
		if err != nil {
			return err
		}
		rooms[note.GetRoom()] = true
		notes++
	}
}

func (c *chat) Talk(stream pb.Chat_TalkServer) error {
	t := &talker{make(chan *pb.Note, behind)}
	var sending sync.WaitGroup
	sending.Go(func() {
		for note := range t.toHear {
			if stream.Send(note) != nil {
				return // Recv fails too
			}
		}
	})
	defer sending.Wait() // nothing may be sent after the return
	defer c.leave(t)
	for {
		note, err := stream.Recv()
		if err == nil {
			err = c.add(t, note)
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}
