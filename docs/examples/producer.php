<?php
// Ask videod for a clip and wait for its end: php producer.php SOURCE START END
// Needs no extension: a Redis command is a list of strings with their lengths. Redis is that of $REDIS_URL.

/** One command, its answer: text, null for nothing, or an array of these. */
function redis($socket, string ...$words): string|array|null
{
    $command = '*' . count($words) . "\r\n";
    foreach ($words as $word) {
        $command .= '$' . strlen($word) . "\r\n$word\r\n";
    }
    fwrite($socket, $command);
    return answer($socket);
}

function answer($socket): string|array|null
{
    $line = fgets($socket);
    if ($line === false) {
        throw new RuntimeException('Redis went away');
    }
    $rest = rtrim(substr($line, 1));
    return match ($line[0]) {
        '+', ':' => $rest,
        '-' => throw new RuntimeException($rest),
        '$' => $rest < 0 ? null : substr(stream_get_contents($socket, $rest + 2), 0, -2),
        '*' => $rest < 0 ? null : array_map(fn () => answer($socket), range(1, (int) $rest)),
    };
}

[, $source, $start, $end] = $argv;
$url = parse_url(getenv('REDIS_URL') ?: 'redis://127.0.0.1:6379/0');
$socket = stream_socket_client('tcp://' . $url['host'] . ':' . ($url['port'] ?? 6379));
stream_set_timeout($socket, 3700); // longer than we wait for an event
redis($socket, 'SELECT', ltrim($url['path'] ?? '', '/') ?: '0');

$id = 'php-' . bin2hex(random_bytes(16));
$message = ['id' => $id, 'url' => $source, 'start' => $start, 'end' => $end, 'reply_to' => "reply:$id"];
redis($socket, 'LPUSH', 'video_info_queue', json_encode($message, JSON_THROW_ON_ERROR));

while ($found = redis($socket, 'BRPOP', "reply:$id", '3600')) {
    echo $found[1], "\n";
    $event = json_decode($found[1], true, flags: JSON_THROW_ON_ERROR)['event'];
    if (in_array($event, ['done', 'dead', 'cancelled'], true)) {
        exit($event === 'done' ? 0 : 1);
    }
}
fwrite(STDERR, "no event of $id for an hour\n");
exit(1);
