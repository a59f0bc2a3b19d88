/* The load: many calls on one epoll, as Asterisk (agi) or FreeSWITCH (esl) places them.
 *
 *     load agi|esl KEY=VALUE…   one line of JSON on standard output
 *
 * port=, calls=, connections=  closed loop: that many at once, each followed by the next
 * rate=                        open loop instead: so many calls begin in a second, whatever the
 *                              server does; a latency counts from when its call was due
 * ramp=                        seconds over which the first connections of a closed loop begin
 * request=FILE                 what the PBX says, with @N@ for the digits of the caller and @C@
 *                              for the number of the call; in esl the answer to "connect"
 * callers=FILE                 lines of "digits verdict", taken in turn; a verdict is a, b or -
 * expect=, allow=, block=      how the command begins, and what tells its verdict (may be empty)
 * ok=FILE, bye=FILE            esl: the answers to a command and to "exit"
 *
 * within=                      seconds after which an answer is of no use: it is counted as late.
 *                              A time then ends with the answer, not with the close. "placing" are
 *                              the seconds until all had begun, "lag" is how late the load itself
 *                              was then, "in_window" the calls answered in time until then
 *
 * A call is a failure when the server closes early, says what was not expected, gives another
 * verdict than its caller's, or is not done when nothing has moved for PATIENCE seconds. One that
 * was closed before anything was said to it (esl: or but for the farewell, "connect" and "exit") is
 * a failure that is counted as refused, too; its time is told apart: p50 to max are of the others.
 * An open loop connects from SOURCES addresses, so that ports never run out.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 65536, BATCH = 256, HEARD = 4096, PIECES = 32, PATIENCE = 30, SOURCES = 16 };

struct call {
	int number, heard, stage, farewell; /* stage: 0 connecting, then 1 + the commands that were answered */
	const char *caller;
	int64_t due, told; /* when its verdict came, 0 before */
	char text[HEARD];
};

struct piece {
	const char *text;
	size_t size;
	char kind; /* 't'ext, 'n'umber of the caller, 'c'all */
};

static const char *mode, *expect = "", *allow = "", *block = "";
static char *request, *callers, *ok = "200 result=1\n", *bye = "";
static size_t ok_size = 13, bye_size;
static struct piece pieces[PIECES];
static int port, calls, connections = 32, is_esl;
static double rate, ramp, within;

static struct call *call_of[MOST];
static const char **caller_of;
static int callers_count, room, begun, done, open_now, failures, refused, in_window, allowed, blocked, epoll, timer;
static const char *failed_first = "";
static int64_t *latency, began, moved, placed, lag;

static void die(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int64_t now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static char *contents(const char *path, size_t *size)
{
	FILE *file = fopen(path, "rb");
	char *text;
	long length;

	if (!file || fseek(file, 0, SEEK_END) || (length = ftell(file)) < 0)
		die(path);
	rewind(file);
	text = calloc(1, length + 1);
	if (fread(text, 1, length, file) != (size_t)length)
		die(path);
	fclose(file);
	if (size)
		*size = length;
	return text;
}

static void cut(char *text)
{
	int count = 0;

	for (char *at; count < PIECES - 2; text = at + 3) {
		for (at = strchr(text, '@'); at && strncmp(at, "@N@", 3) && strncmp(at, "@C@", 3);)
			at = strchr(at + 1, '@');
		pieces[count++] = (struct piece){text, at ? (size_t)(at - text) : strlen(text), 't'};
		if (!at)
			return;
		pieces[count++] = (struct piece){at, 0, at[1] == 'N' ? 'n' : 'c'};
	}
	die("too many @N@ in the request");
}

static void read_callers(char *text)
{
	int most = 1;

	for (char *at = text; (at = strchr(at, '\n')); at++)
		most++;
	caller_of = calloc(most, sizeof *caller_of);
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		caller_of[callers_count++] = line;
	if (!callers_count)
		die("no callers");
}

static void finish(int fd, const char *why)
{
	struct call *call = call_of[fd];

	int64_t spent = (within > 0 && call->told ? call->told : moved) - call->due;

	if (why && !call->told && (call->farewell || (call->stage <= !is_esl && !call->heard)))
		latency[calls - ++refused] = spent;
	else
		latency[done - refused] = spent;
	in_window += !why && begun < calls && spent <= within * 1e9;
	done++;
	if (why && !failures++)
		failed_first = why;
	close(fd);
	open_now--;
}

static int64_t due_of(int number)
{
	if (rate > 0)
		return began + (int64_t)(number / rate * 1e9);
	return began + (number < connections ? (int64_t)(ramp * 1e9 / connections * number) : 0);
}

static void begin(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in source = {.sin_family = AF_INET};
	struct epoll_event event = {.events = is_esl ? EPOLLIN : EPOLLOUT};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct call *call;
	int on = 1;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || fd >= MOST)
		die("socket");
	if (!call_of[fd])
		call_of[fd] = malloc(sizeof **call_of);
	call = call_of[fd];
	call->number = begun;
	call->caller = caller_of[begun % callers_count];
	call->due = placed = now();
	if (rate > 0) {
		call->due = due_of(begun);
		lag = placed - call->due > lag ? placed - call->due : lag;
		source.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + begun % SOURCES);
		if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) ||
		    bind(fd, (struct sockaddr *)&source, sizeof source))
			die("bind");
	}
	call->told = call->heard = call->stage = call->farewell = 0;
	begun++;
	open_now++;
	if (connect(fd, (struct sockaddr *)&address, sizeof address) && errno != EINPROGRESS) {
		if (rate <= 0 || errno != ECONNREFUSED)
			die("connect");
		moved = now();
		finish(fd, "refused");
		return;
	}
	event.data.fd = fd;
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
		die("epoll_ctl");
}

static int ask(int fd, struct call *call)
{
	char text[32768], *end = text;

	for (struct piece *piece = pieces; piece->text; piece++)
		if (piece->kind == 't')
			end = mempcpy(end, piece->text, piece->size);
		else if (piece->kind == 'n')
			end = mempcpy(end, call->caller, strcspn(call->caller, " "));
		else
			end += sprintf(end, "%d", call->number);
	return write(fd, text, end - text) == end - text;
}

/* What is wrong with the one command that is told by its beginning and its verdict. */
static const char *judge(struct call *call, const char *command, size_t size)
{
	const char *said = strchr(call->caller, ' ');
	int wanted = said ? said[1] : '-', given = '-';

	call->told = moved;
	if (size < strlen(expect) || memcmp(command, expect, strlen(expect)))
		return "another command than expected";
	if (*allow && memmem(command, size, allow, strlen(allow)))
		given = 'a', allowed++;
	else if (*block && memmem(command, size, block, strlen(block)))
		given = 'b', blocked++;
	return *allow && wanted != '-' && wanted != given ? "another verdict than expected" : NULL;
}

static const char *answer_agi(int fd, struct call *call, const char *command, size_t size)
{
	if (call->stage++ != 1)
		return "more than one command";
	if (write(fd, ok, ok_size) != (ssize_t)ok_size)
		return "a short write";
	return judge(call, command, size);
}

/* "" when the call is over. */
static const char *answer_esl(int fd, struct call *call, const char *command, size_t size)
{
	const char *why;

	switch (call->stage++) {
	case 0:
		if (size != 7 || memcmp(command, "connect", 7))
			return "not connect";
		return ask(fd, call) ? NULL : "a short write";
	case 1:
		if (size == 4 && !memcmp(command, "exit", 4)) {
			call->farewell = 1;
			return "turned away";
		}
		if ((why = judge(call, command, size)))
			return why;
		return write(fd, ok, ok_size) == (ssize_t)ok_size ? NULL : "a short write";
	default:
		if (size != 4 || memcmp(command, "exit", 4))
			return "not exit";
		return write(fd, bye, bye_size) == (ssize_t)bye_size ? "" : "a short write";
	}
}

/* Take what the server said; 1 when the call is over. */
static int hear(int fd, struct call *call)
{
	const char *mark = is_esl ? "\n\n" : "\n", *why;
	char *start = call->text, *end;
	ssize_t got = read(fd, call->text + call->heard, HEARD - call->heard);

	if (got < 0 && errno == EAGAIN)
		return 0;
	if (got <= 0) {
		finish(fd, !is_esl && call->stage == 2 && got == 0 ? NULL : "closed early");
		return 1;
	}
	call->heard += got;
	while ((end = memmem(start, call->text + call->heard - start, mark, strlen(mark)))) {
		why = (is_esl ? answer_esl : answer_agi)(fd, call, start, end - start);
		if (why) {
			finish(fd, *why ? why : NULL);
			return 1;
		}
		start = end + strlen(mark);
	}
	call->heard -= start - call->text;
	memmove(call->text, start, call->heard);
	return 0;
}

static void handle(int fd, uint32_t events)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
	struct call *call = call_of[fd];
	int over = 0;

	moved = now();
	if (!is_esl && call->stage == 0) {
		if ((events & EPOLLERR) || !ask(fd, call)) {
			finish(fd, "refused");
			over = 1;
		} else {
			call->stage = 1;
			epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event);
		}
	} else {
		over = hear(fd, call);
	}
	if (over && rate <= 0 && begun >= connections && begun < calls)
		begin();
}

/* Begin what is due, and set the timer for what is not. What is answered has its turn between: no
 * more than a batch at once, and no more than there is room for, begin however late they are. */
static void begin_due(void)
{
	int most = rate > 0 || calls < connections ? calls : connections, last = begun + BATCH;
	struct itimerspec when = {0};
	uint64_t ticks;
	int64_t due;

	if (read(timer, &ticks, sizeof ticks) < 0 && errno != EAGAIN)
		die("timer");
	while (begun < most && begun < last && open_now < room && due_of(begun) <= now())
		begin();
	if (begun >= most)
		return;
	due = open_now < room ? due_of(begun) : now() + 1000000;
	when.it_value = (struct timespec){due / 1000000000, due % 1000000000};
	timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL);
}

static void run(void)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = -1}, events[BATCH];
	int ready;

	epoll = epoll_create1(0);
	timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &event);
	moved = began = now();
	begin_due();
	while (done < calls) {
		ready = epoll_wait(epoll, events, BATCH, 1000);
		for (int each = 0; each < ready; each++)
			if (events[each].data.fd < 0)
				begin_due();
			else
				handle(events[each].data.fd, events[each].events);
		if (now() - moved > PATIENCE * 1000000000LL) {
			failed_first = failures ? failed_first : "hung";
			failures += calls - done;
			return;
		}
	}
}

static int rising(const void *one, const void *other)
{
	int64_t first = *(const int64_t *)one, second = *(const int64_t *)other;
	return (first > second) - (first < second);
}

static double at_share(const int64_t *of, int count, double share)
{
	int place = count * share;
	return count ? of[place < count ? place : count - 1] / 1e3 : 0;
}

static void report(void)
{
	double wall = (now() - began) / 1e9;
	int heard = done - refused, late = 0;
	const int64_t *closed = latency + calls - refused;
	struct rusage used;

	getrusage(RUSAGE_SELF, &used);
	qsort(latency, heard, sizeof *latency, rising);
	qsort(latency + calls - refused, refused, sizeof *latency, rising);
	while (within > 0 && late < heard && latency[heard - 1 - late] > within * 1e9)
		late++;
	printf("{\"calls\": %d, \"failures\": %d, \"why\": \"%s\", \"allowed\": %d, \"blocked\": %d, "
	       "\"seconds\": %.6f, \"p50\": %.1f, \"p99\": %.1f, \"p999\": %.1f, \"max\": %.1f, "
	       "\"late\": %d, \"refused\": %d, \"refused_p50\": %.1f, \"refused_p99\": %.1f, "
	       "\"refused_max\": %.1f, \"placing\": %.6f, \"lag\": %.1f, \"in_window\": %d, "
	       "\"load_cpu\": %.6f}\n",
	       calls, failures, failed_first, allowed, blocked, wall, at_share(latency, heard, 0.5),
	       at_share(latency, heard, 0.99), at_share(latency, heard, 0.999),
	       at_share(latency, heard, 1), late, refused, at_share(closed, refused, 0.5),
	       at_share(closed, refused, 0.99), at_share(closed, refused, 1),
	       (placed - began) / 1e9, lag / 1e3, in_window,
	       used.ru_utime.tv_sec + used.ru_stime.tv_sec +
		       (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6);
}

static void take(char *pair)
{
	char *value = strchr(pair, '=');

	if (!value)
		die(pair);
	*value++ = 0;
	if (!strcmp(pair, "port"))
		port = atoi(value);
	else if (!strcmp(pair, "calls"))
		calls = atoi(value);
	else if (!strcmp(pair, "connections"))
		connections = atoi(value);
	else if (!strcmp(pair, "rate"))
		rate = atof(value);
	else if (!strcmp(pair, "ramp"))
		ramp = atof(value);
	else if (!strcmp(pair, "within"))
		within = atof(value);
	else if (!strcmp(pair, "expect"))
		expect = value;
	else if (!strcmp(pair, "allow"))
		allow = value;
	else if (!strcmp(pair, "block"))
		block = value;
	else if (!strcmp(pair, "request"))
		request = contents(value, NULL);
	else if (!strcmp(pair, "callers"))
		callers = contents(value, NULL);
	else if (!strcmp(pair, "ok"))
		ok = contents(value, &ok_size);
	else if (!strcmp(pair, "bye"))
		bye = contents(value, &bye_size);
	else
		die(pair);
}

int main(int count, char **arguments)
{
	struct rlimit files;

	if (count < 3) {
		fprintf(stderr, "usage: load agi|esl KEY=VALUE…\n");
		return 2;
	}
	is_esl = !strcmp(mode = arguments[1], "esl");
	for (int each = 2; each < count; each++)
		take(arguments[each]);
	if (!request || !callers || calls < 1)
		die("request=, callers= and calls= are needed");
	signal(SIGPIPE, SIG_IGN);
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max < MOST ? files.rlim_max : MOST;
	setrlimit(RLIMIT_NOFILE, &files);
	room = files.rlim_cur - 64;
	cut(request);
	read_callers(callers);
	latency = calloc(calls, sizeof *latency);
	run();
	report();
	return 0;
}
